"""The command that a campaign searches: checked before anything starts, and identified by the files that it names."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from coarsefine.search.campaign.command_line import as_line, filled, text_of, variable_of
from coarsefine.search.errors import CampaignError
from coarsefine.search.training.user_code.report import Planned
from coarsefine.search.training.user_code.source_file import Source

_SCRIPTS = {".py", ".sh", ".R", ".jl", ".pl", ".rb", ".js", ".lua", ".awk"}
"""Suffixes of files whose text is kept; any other file may hold a secret."""
_WRITTEN = {".db", ".sqlite", ".sqlite3", ".log"}
"""Suffixes of files that are not compared: trials write into them. SQLite alone opens the file of the studies."""
_OUTPUT = re.compile(r"--?(\w+[-_])*(logs?|out|outputs?|save|results?)([-_]?(file|path|to))?", re.IGNORECASE)
"""Options whose values are files that trials write."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command with placeholders, the folder in which it runs, and the files there that it names."""

    arguments: tuple[str, ...]
    folder: Path
    files: Mapping[str, Source]
    """The files by their names in the command."""

    @classmethod
    def at(cls, folder: Path, arguments: Sequence[str]) -> Self:
        """Return a command that runs in a folder; raise `OSError` if a file that it names cannot be read."""
        named = sorted({*_files_named(arguments, folder)})
        program = arguments[0]
        files = {n: Source.read(folder / n, keep=n == program or _is_script(folder / n)) for n in named}
        return cls(tuple(arguments), folder, files)

    def limited(self, objective: Mapping[str, Any]) -> Self:
        """Return the command with only the files that were there when its campaign was started.

        `objective` is the attribute of a study. Files that came later are what the trials wrote.
        """
        recorded: Container[str] = objective.get("files", self.files)
        return replace(self, files={name: source for name, source in self.files.items() if name in recorded})

    @property
    def name(self) -> str:
        """Return the command as one line, quoted as for a shell."""
        return as_line(self.arguments)

    @property
    def form(self) -> Literal["command"]:
        """Return what it is called with."""
        return "command"

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all its files, with their names."""
        digests = {name: source.digest for name, source in self.files.items()}
        return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()

    @property
    def source(self) -> Source:
        """Return its files as one source: with the text of a single file, or of all whose text is kept, with names."""
        digests = {name: source.digest for name, source in self.files.items()}
        texts = {name: source.text for name, source in self.files.items() if source.text is not None}
        if len(self.files) > 1:
            texts = {name: f"── {name} ──\n{text}" for name, text in texts.items()}
        return Source(self.folder, self.digest, "\n".join(texts.values()) if texts else None, digests)

    def filled(self, trial: Planned, epochs: int, point: Path) -> tuple[list[str], dict[str, str]]:
        """Write a trial's parameters to the file `point`; return the words of its command, and environment variables.

        `epochs` is the number of epochs that it is to report. Raises `OSError` if the file cannot be written.
        """
        point.write_text(json.dumps(dict(trial.point)), "utf-8")
        values = {name: text_of(value) for name, value in trial.point.items()}
        variables = {variable_of(name): text for name, text in values.items()}
        variables["COARSEFINE_POINT"] = str(point)
        variables["PYTHONUNBUFFERED"] = "1"  # else Python keeps back what it prints
        values |= {"seed": str(trial.seed), "folder": str(trial.folder), "epochs": str(epochs)}
        values["point_file"] = str(point)
        return [filled(word, values) for word in self.arguments], variables


def load_command(arguments: Sequence[str], folder: Path | None = None) -> Command:
    """Return a campaign's command, to run in the campaign's folder, else in the working directory.

    Raises `CampaignError` if there is no such program, or a file that it names cannot be read.
    """
    place = (folder or Path.cwd()).absolute()
    _check_program(arguments[0], place)
    try:
        return Command.at(place, arguments)
    except OSError as error:
        raise CampaignError(
            f"command: {error.filename} cannot be read ({error.strerror}): make it readable."
        ) from error


def _check_program(program: str, folder: Path) -> None:
    if "{" in program:  # a parameter chooses it
        return
    if os.sep in program:
        _check_file(program, folder)
    elif shutil.which(program) is None:
        here = f", or write ./{program} for the file in {folder}" if (folder / program).is_file() else ""
        raise CampaignError(
            f"command: there is no program '{program}' on the PATH: correct its name, install it{here}."
        )


def _check_file(program: str, folder: Path) -> None:
    path = folder / program
    if not path.is_file():
        raise CampaignError(f"command: there is no program {path}: correct its path, which starts at {folder}.")
    if not os.access(path, os.X_OK):
        raise CampaignError(f"command: {path} is not executable: chmod +x it, or name its interpreter first.")


def _files_named(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    """Yield the words, and the values of options such as --config=FILE, that are files in the folder.

    Files that trials write are left out: of options such as --output, and with suffixes such as .log.
    """
    before = ""
    for position, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        for name, of in {argument: before, value: option}.items():
            if position == 0 and os.sep not in name:  # a program on the PATH
                continue
            if not name or "\0" in name or Path(name).is_absolute() or Path(name).suffix in _WRITTEN:
                continue
            if _is_file(folder / name) and not _OUTPUT.fullmatch(of):
                yield name
        before = argument


def _is_script(path: Path) -> bool:
    if path.suffix in _SCRIPTS:
        return True
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a word that is too long for a file's name
        return False
