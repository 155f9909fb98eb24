"""The commands: each parses its arguments, calls one function, and prints what it returns.

Commands import what they need when they run, so that `--help` loads nothing of it.
"""

import errno
import io
import os
import sys

from coarsefine.model.errors import ModelError
from coarsefine.search.cli import campaigns, checks, init, models, pages, trials  # in the order of the help page
from coarsefine.search.cli.options import app
from coarsefine.search.cli.output import say
from coarsefine.search.errors import SearchError

__all__ = ["app", "campaigns", "checks", "init", "main", "models", "pages", "trials"]

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def main() -> None:
    """Run the command line; print an expected error as one sentence on stderr, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # η becomes \\u03b7 where the locale has no Greek: JSON reads that, too
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except (SearchError, ModelError) as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `coarsefine best | head`: the reader has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # stdout may be a file on a full disk
        if error.errno not in _DISK_ERRORS:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        say(f"The output cannot be written: {error.strerror}.")
        sys.exit(5)
