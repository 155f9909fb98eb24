"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second Ctrl-C stops at once."""

import signal
from collections.abc import Sequence
from types import FrameType
from typing import Self


class Interrupts:
    """While entered, signals only set a flag; call it to ask whether one came."""

    def __init__(self, kinds: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self._kinds = kinds
        self._came = False
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        self._before = {kind: signal.signal(kind, self._note) for kind in self._kinds}
        return self

    def __exit__(self, *_: object) -> None:
        for kind, handler in self._before.items():
            signal.signal(kind, handler)

    def __call__(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._came

    def _note(self, kind: int, _frame: FrameType | None) -> None:
        if self._came and kind == signal.SIGINT:
            raise KeyboardInterrupt
        self._came = True
