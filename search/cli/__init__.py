"""The commands: each parses its arguments, calls one function, and prints what it returns.

Commands import what they need when they run, so that `--help` loads nothing of it.
"""

import codecs
import gc
import io
import os
import sys
from typing import TextIO

from coarsefine.model.errors import ModelError, message_of
from coarsefine.search.cli import (  # in the order of the help page
    campaigns,
    checks,
    init,
    models,
    pages,
    storages,
    trials,
)
from coarsefine.search.cli.options import ReaderLeftError, app
from coarsefine.search.cli.output import say
from coarsefine.search.errors import DISK_ERRORS, SearchError
from coarsefine.search.standard_streams import fill_standard_streams

_ALLOCATIONS = 50_000
"""New objects after which Python looks for garbage. Its own 700 would cost a twentieth of the time of `status`."""

__all__ = ["app", "campaigns", "checks", "init", "main", "models", "pages", "storages", "trials"]


def main() -> None:
    """Run the command line; print an expected error as one sentence on stderr, and exit with its code."""
    gc.set_threshold(_ALLOCATIONS)
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            _let_print_all(stream)
    code: int | str | None = 0
    try:
        try:
            app()
        except SystemExit as end:
            code = end.code
            if isinstance(end.__context__, BrokenPipeError):  # for which Rich and Click exit with 1
                code = _code_before(end)
                _drop(sys.stdout)
        except (SearchError, ModelError) as error:
            say(str(error))
            code = error.exit_code
        except KeyboardInterrupt:
            code = 130
        except MemoryError as error:
            say(f"The memory does not suffice: {message_of(error) or 'no more could be had'}.")
            code = 1
        sys.stdout.flush()
    except (BrokenPipeError, ReaderLeftError):
        _drop(sys.stdout)
    except OSError as error:  # stdout may be a file on a full disk, or a terminal that was closed
        if error.errno not in DISK_ERRORS:
            raise
        _drop(sys.stdout)
        say(f"The output cannot be written: {error.strerror}.")
        code = code or _code_before(error) or 5
    try:
        sys.stderr.flush()
    except OSError:  # Python would try again at its end, and replace the exit code
        _drop(sys.stderr)
    sys.exit(code)


def _code_before(error: BaseException | None) -> int:
    """Return the exit code of the error that was being reported when this one arose; 0 if there was none."""
    while (error := error and error.__context__) is not None:
        if code := getattr(error, "exit_code", 0):
            return int(code)
    return 0


def _open_streams() -> None:
    """Let standard streams that the caller has closed lead nowhere."""
    fill_standard_streams()
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole process
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _let_print_all(stream: io.TextIOWrapper) -> None:
    r"""Let a stream print every character: η as \u03b7 where the locale has no Greek.

    Python itself prints UTF-8 in the locale C, unless PYTHONUTF8 and PYTHONCOERCECLOCALE forbid it; we always do.
    """
    is_ascii = codecs.lookup(stream.encoding).name == "ascii"
    stream.reconfigure(encoding="utf-8" if is_ascii else None, errors="backslashreplace")


def _drop(stream: TextIO) -> None:
    """Let a stream that cannot be written lead nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
