"""What commands have in common: reading a campaign, printing, and command lines that one may paste."""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coarsefine.search.results.status import Status


def read(storage: str, campaign: str | None) -> "Status":
    """Return how a campaign stands; of the only one where none is named."""
    from coarsefine.search.results.status import read_status
    from coarsefine.search.storage.location import locate
    from coarsefine.search.storage.opening import open_storage

    opened = open_storage(locate(storage))
    try:
        return read_status(opened, campaign)
    finally:
        opened.close()


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def say(sentence: str) -> None:
    """Print a sentence on stderr."""
    from coarsefine.search.terminal.status_tables import err

    err.print(sentence, markup=False)


def same_command(storage: str) -> str:
    """Return the command line that was typed, without a password."""
    return f"{program()} {shlex.join(word.replace(storage, _plain(storage)) for word in sys.argv[1:])}"


def storage_option(storage: str) -> str:
    """Return the option that names the storage, where one is needed."""
    return "" if storage == "studies.db" else f" --storage {shlex.quote(_plain(storage))}"


def _plain(storage: str) -> str:
    """Return what was given as --storage, without a password: what we print ends in logs and histories."""
    from coarsefine.search.storage.location import locate

    return locate(storage).shown if "://" in storage else storage


def program() -> str:
    """Return how this program was called, so that what we print can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m coarsefine"
    found = shutil.which("coarsefine")
    return "coarsefine" if found and called.exists() and Path(found).samefile(called) else shlex.quote(sys.argv[0])
