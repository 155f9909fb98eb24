"""Whether the user's code is still what a study was trained with, found out without importing or running it."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coarsefine.search.campaign.words import join_words
from coarsefine.search.training.user_code.command import Command
from coarsefine.search.training.user_code.source_file import Change, Source, find_source, own_folders


def change_of(objective: object, folder: Path | None = None) -> Change | None:
    """Return how the user's code has changed since it was recorded; None if it has not, or is not found.

    `objective` is the attribute of a study, with the `name` and the `digest` of the function or command. `folder` is
    where the campaign's file is, if that is known.
    """
    match objective:
        case {"name": str(name), "digest": str(digest), **rest} if isinstance(objective, dict):
            now = _of_command(objective, folder) if rest.get("form") == "command" else _of_function(name, folder)
            if now is not None and now.digest != digest:
                return Change(objective, now)
    return None


def why_unknown(objective: object) -> str | None:
    """Return why it is not known whether the user's code has changed since it was recorded; None if it is.

    The folder of the campaign's file is not known: the code is looked for from the working directory.
    """
    match objective:
        case {"form": "command", "files": files} if isinstance(files, dict):
            missing = [name for name in files if not (Path.cwd() / name).is_file()]
        case {"name": str(name), **rest} if rest.get("form") != "command":
            missing = [] if _of_function(name, None) is not None else [f"The module of {name}"]
        case _:
            missing = []
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{join_words(missing)} {verb} not in {Path.cwd()}, so changes are not known: start this command in the folder "
        "of the campaign's file."
    )


def _of_function(name: str, folder: Path | None) -> Source | None:
    file = find_source(name.partition(":")[0], [*sys.path, *own_folders(folder)])
    return Source.read(file) if file is not None and file.is_file() else None


def _of_command(objective: Mapping[str, Any], folder: Path | None) -> Source | None:
    command = Command.at(folder or Path.cwd(), shlex.split(objective["name"])).limited(objective)
    if folder is None and command.files.keys() != objective.get("files", command.files).keys():
        return None  # the campaign's file is in another folder
    return command.source if command.files or folder is not None else None
