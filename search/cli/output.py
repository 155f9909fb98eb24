"""Helpers of several commands: reading a campaign, printing, and command lines to paste."""

import json
import shlex
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coarsefine.search.results.status import Status


def read(storage: str, campaign: str | None) -> "Status":
    """Return the status of a campaign, or of the storage's only one if no name is given."""
    from coarsefine.search.results.status import read_status
    from coarsefine.search.storage.location import locate
    from coarsefine.search.storage.opening import open_storage

    with closing(open_storage(locate(storage))) as opened:
        return read_status(opened, campaign)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def say(sentence: str) -> None:
    """Print a sentence on stderr."""
    from coarsefine.search.terminal.console import print_message

    print_message(sentence)


def same_command(storage: str) -> str:
    """Return the command line as it was typed, without the password in its storage."""
    return f"{program()} {shlex.join(word.replace(storage, _without_password(storage)) for word in sys.argv[1:])}"


def storage_option(storage: str) -> str:
    """Return the `--storage` option to append to a command line; nothing for the default storage."""
    return "" if storage == "studies.db" else f" --storage {shlex.quote(_without_password(storage))}"


def _without_password(storage: str) -> str:
    """Return the value of `--storage` without a password, since printed lines end up in logs and shell histories."""
    from coarsefine.search.storage.location import locate

    return locate(storage).shown if "://" in storage else storage


def program() -> str:
    """Return the beginning of a command line that calls this program again."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m coarsefine"
    found = shutil.which("coarsefine")
    return "coarsefine" if found and called.exists() and Path(found).samefile(called) else shlex.quote(sys.argv[0])
