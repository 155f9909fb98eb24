"""Redraw the live view at the bottom of a terminal, and switch the terminal's echo off meanwhile."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console, ConsoleRenderable, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

try:
    import termios
except ImportError:  # Windows, where a terminal echoes keys only while a program reads them
    termios = None  # type: ignore[assignment]

_FRAMES_PER_SECOND = 2
"""Frames drawn in a second. Each takes some milliseconds from the training in this process."""


class Screen(Live):
    """Redraw lines twice a second, for the size that the terminal has at that moment."""

    def __init__(self, console: Console, draw: Callable[[int, int], list[Text]]) -> None:
        self._draw = draw
        self._frame = self._shown = (0, 0)
        super().__init__(
            console=console, get_renderable=self._draw_frame, refresh_per_second=_FRAMES_PER_SECOND,
            transient=True, redirect_stdout=False, vertical_overflow="crop",
        )  # fmt: skip

    def undisturbed(self) -> AbstractContextManager[Any]:
        """Let no frame be drawn while a message is printed.

        Rich calculates how far the cursor moves up before it writes: a frame written in between leaves lines behind.
        """
        return self._lock

    def _draw_frame(self) -> Group:
        width, height = self.console.size
        lines = self._draw(width, height)
        self._frame = max((line.cell_len for line in lines), default=0), len(lines)
        return Group(*lines)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Draw the frame below new messages, in place of the last frame.

        If the terminal has become too small for the last frame, its lines cannot be located, since some terminals fold
        them and others cut them. The whole screen is cleared then.
        """
        processed = super().process_renderables(renderables)
        width, height = self.console.size
        if self._shown[0] > width or self._shown[1] > height:
            processed[0] = Control(ControlType.CLEAR, ControlType.HOME)
        self._shown = self._frame
        return processed


@contextmanager
def echo_disabled() -> Iterator[None]:
    """Stop the terminal from echoing keys until the block ends: each Enter would move the view by a line.

    Ctrl-C and the like work as before.
    """
    if not _is_in_foreground():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    without = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(keyboard, termios.TCSANOW, without)
    try:
        yield
    finally:
        if _is_in_foreground():
            termios.tcsetattr(keyboard, termios.TCSANOW, before)


def _is_in_foreground() -> bool:
    """Return whether stdin is a terminal that sends its keys here; a background process must not change it."""
    if termios is None or not sys.stdin or not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # the terminal of another session
        return False
