"""How a trial process becomes the user's command: the same process executes the program, so its server knows it."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn

from coarsefine.search.training.user_code.channel import Message

_ERRORS = 2
_LEAST_OWN = 3
"""The first descriptor that is not a standard stream."""
_CANNOT_START = 126
"""The exit code of a command that cannot be started, as in shells; its log says why."""


def run(request: Message, prepare: Callable[[Mapping[str, str], str], None]) -> NoReturn:
    """Execute the command of a call, after `prepare` has set its environment and opened its log.

    Files that Coarsefine has opened are closed, and signals are as in a new process. If anything of this fails, the
    log has the reason, and this process ends with code 126.
    """
    program = request["arguments"][0]
    try:
        prepare(request["environment"], request["log"])
        os.chdir(request["directory"])
        _prepare_streams(request["output"])
        _restore_signals()
        os.execvp(program, request["arguments"])  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(_ERRORS, f"{not_started(program, error)}\n".encode())
    os._exit(_CANNOT_START)


def not_started(program: str, error: OSError) -> str:
    """Return the sentence about a program that the system does not start."""
    return f"{program} cannot be started: {error.strerror or error}"


def _prepare_streams(output: str | None) -> None:
    """Give the program an empty input, and send what it prints to a pipe if its worker reads it."""
    for path, flags, stream in ((os.devnull, os.O_RDONLY, 0), (output, os.O_WRONLY, 1)):
        if path is not None:
            file = os.open(path, flags)
            os.dup2(file, stream)
            if file >= _LEAST_OWN:
                os.close(file)


def _restore_signals() -> None:
    """Undo what Python and the processes before it have changed about signals, and a program would inherit."""
    for name in ("SIGPIPE", "SIGXFSZ", "SIGINT", "SIGTERM", "SIGHUP"):
        with suppress(AttributeError):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
