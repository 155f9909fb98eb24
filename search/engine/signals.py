"""Ctrl-C and SIGTERM: the first asks for an orderly stop, a second Ctrl-C stops at once."""

import signal
from collections.abc import Sequence
from types import FrameType
from typing import Self


class Interrupts:
    """Make signals only set a flag while entered; call the object to read the flag."""

    def __init__(self, kinds: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self._kinds = kinds
        self._arrived = False
        self._previous: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        self._previous = {kind: signal.signal(kind, self._handle) for kind in self._kinds}
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
