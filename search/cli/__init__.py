"""The commands: each parses, calls one function, and prints what it returns.

Heavy imports wait until a command needs them, so that `--help` answers at once.
"""

import errno
import os
import sys
from typing import NoReturn

from coarsefine.search.cli import campaigns, checks, models, pages  # the commands register themselves, in this order
from coarsefine.search.cli.options import app
from coarsefine.search.cli.output import say
from coarsefine.search.errors import SearchError

__all__ = ["app", "campaigns", "checks", "main", "models", "pages"]


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def main() -> None:
    """Run the command line; an error of the user's ends in one sentence on stderr and its exit code."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SearchError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `coarsefine best | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # the disk to which the output goes may be full
        if error.errno not in _DISK:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"The output cannot be written: {error.strerror}.", 5)
    except Exception as error:
        from coarsefine.model.errors import ModelError  # here, since it loads NumPy

        if not isinstance(error, ModelError):
            raise
        _fail(str(error), error.exit_code)


def _fail(sentence: str, exit_code: int) -> NoReturn:
    say(sentence)
    sys.exit(exit_code)
