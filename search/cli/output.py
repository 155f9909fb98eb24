"""Helpers of several commands: opening a storage, interrupting, printing, and command lines to paste."""

import codecs
import ctypes
import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from coarsefine.search.engine.signals import Interrupts
    from coarsefine.search.results.observer import Observer
    from coarsefine.search.results.status import Status
    from coarsefine.search.storage.optuna_storage import Storage


def opened(storage: str) -> "closing[Storage]":
    """Return a storage, opened for reading; leaving the context closes it."""
    from coarsefine.search.storage.location import locate
    from coarsefine.search.storage.opening import open_storage

    return closing(open_storage(locate(storage), say=say))


def read(storage: str, campaign: str | None) -> "Status":
    """Return the status of a campaign, or of the storage's only one if no name is given.

    Say what other programs have deleted, changed or added.
    """
    from coarsefine.search.results.status_reading import read_status

    with opened(storage) as studies:
        status = read_status(studies, campaign)
    for note in status.notes:
        say(note)
    return status


@contextmanager
def interruptible(sentence: str, storage: str) -> "Iterator[Interrupts]":
    """Yield a function that returns whether a stop was requested, for a command that can be resumed.

    Raises `Interrupted` for an interrupted command, with the sentence and the command line as it was typed, but without
    the password in its storage.
    """
    from coarsefine.search.engine.signals import Interrupts
    from coarsefine.search.errors import Interrupted

    try:
        with Interrupts() as stop:
            yield stop
    except (Interrupted, KeyboardInterrupt) as error:
        typed = shlex.join(word.replace(storage, _without_password(storage)) for word in sys.argv[1:])
        raise Interrupted(f"{sentence}: {program()} {typed}") from error


@contextmanager
def observed(sentence: str, storage: str, verbose: bool | None) -> "Iterator[tuple[Observer, Interrupts]]":
    """Yield the observer that shows people how a campaign is trained, and what `interruptible` yields."""
    from coarsefine.search.terminal.live_view import observe_run

    hint = f"coarsefine serve{storage_option(storage)}"
    with interruptible(sentence, storage) as stop, observe_run(hint, stop, verbose) as observer:
        yield observer, stop


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    escaped = not _is_utf8(sys.stdout)  # where `é` becomes `\\xe9`, which JSON does not know
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=escaped, allow_nan=False) + "\n")


def print_file(text: str) -> None:
    """Print the content of a file on stdout: in UTF-8, as files are, unless a terminal shows it."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(text)


def _is_utf8(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"  # a stream in memory has no encoding


def say(sentence: str) -> None:
    """Print a sentence on stderr."""
    from coarsefine.search.terminal.console import print_message

    print_message(sentence)


@contextmanager
def prints_on_stderr() -> Iterator[None]:
    """Send all that is written to stdout to stderr, by libraries and child processes, too."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with redirect_stdout(sys.stderr):
            os.dup2(2, 1)
            yield
    finally:
        if os.name == "posix":
            ctypes.CDLL(None).fflush(None)  # what C code has printed may still be in its buffer
        os.dup2(kept, 1)
        os.close(kept)


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
