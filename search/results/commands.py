"""Command lines for people to paste: those that continue a campaign or show more of it."""

import shlex
from pathlib import Path

from coarsefine.search.storage.location import Location, locate


def command(word: str, campaign: str, location: Location, *more: str) -> str:
    """Return the command line that calls a command for a campaign of a storage: `coarsefine retry small`.

    `more` are words that follow the campaign's name.
    """
    is_default = location.path is not None and location.path == locate("studies.db").path
    option = "" if is_default else f" --storage {shlex.quote(_typed(location))}"
    return f"coarsefine {word} {shlex.join([campaign, *more])}{option}"


def storage_option_elsewhere(location: Location, server: str) -> str:
    """Return the `--storage` option for readers whose folders are others: a file's name, or `server` for a server."""
    shown = location.path.name if location.path else server
    return "" if shown == "studies.db" else f" --storage {shlex.quote(shown)}"


def to_continue(campaign: str, location: Location, *, diverged: bool = False) -> str:
    """Return what to do about trials that failed because of the user's code or a machine, as a sentence.

    With `diverged`, it is about trials that all diverged, which are put back only if asked for.
    """
    retry, run = (command(word, campaign, location) for word in ("retry", "run"))
    option = " --diverged" * diverged
    return (
        f"Fix the cause, then run `{retry}{option}` and `{run} --accept-changes`; or the campaign's file, if it was "
        "changed."
    )


def shown_path(path: Path) -> Path:
    """Return a path as people would type it: relative if it is in the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _typed(location: Location) -> str:
    """Return a storage as people would type it, without a password."""
    return location.shown if location.path is None else str(shown_path(location.path))
