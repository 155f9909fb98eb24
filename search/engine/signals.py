"""Ctrl-C, SIGTERM and SIGHUP: the first asks for an orderly stop, a second Ctrl-C stops at once."""

import signal
from collections.abc import Sequence
from types import FrameType
from typing import Self

HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The signal of a terminal that was closed, where the system has it. It asks for the same as SIGTERM."""
TERMINATION = (signal.SIGTERM, *([HANGUP] if HANGUP is not None else []))
"""The signals that ask a process to end."""


class Interrupts:
    """Make signals only set a flag while entered; call the object to read the flag.

    SIGHUP stays ignored where it is, as under `nohup`.
    """

    def __init__(self, kinds: Sequence[signal.Signals] = (signal.SIGINT, *TERMINATION)) -> None:
        self._kinds = kinds
        self._arrived = False
        self._previous: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        kinds = [kind for kind in self._kinds if kind != HANGUP or signal.getsignal(kind) != signal.SIG_IGN]
        self._previous = {kind: signal.signal(kind, self._handle) for kind in kinds}
        return self

    def __exit__(self, *_: object) -> None:
        for kind, handler in self._previous.items():
            signal.signal(kind, handler)

    def __call__(self) -> bool:
        """Return whether a signal has arrived."""
        return self._arrived

    def _handle(self, kind: int, _frame: FrameType | None) -> None:
        if self._arrived and kind == signal.SIGINT:
            raise KeyboardInterrupt
        self._arrived = True
