"""Redraw the live view at the bottom of a terminal, and switch the terminal's echo off meanwhile."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
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

_SHOW_CURSOR, _HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"
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

    def draw_again(self) -> None:
        """Hide the cursor and draw the next frame at the cursor, where a shell may have written in the meantime."""
        os.write(sys.stderr.fileno(), _HIDE_CURSOR)
        self._live_render._shape = None  # noqa: SLF001 - else rich moves the cursor up by the last frame's lines

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
def echo_disabled(on_resumed: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Stop the terminal from echoing keys until the block ends: each Enter would move the view by a line.

    Ctrl-C and the like work as before. While Ctrl-Z has stopped the process, the terminal echoes keys and shows its
    cursor; `on_resumed` is called when the process goes on in the foreground.
    """
    if not _is_in_foreground():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    without = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]

    def set_echo(attributes: Any) -> None:
        if _is_in_foreground():
            termios.tcsetattr(keyboard, termios.TCSANOW, attributes)

    def resume() -> None:
        if _is_in_foreground():  # not if the shell lets it go on in the background
            set_echo(without)
            on_resumed()

    set_echo(without)
    try:
        with _stops(lambda: set_echo(before), resume):
            yield
    finally:
        set_echo(before)


@contextmanager
def _stops(before: Callable[[], None], after: Callable[[], None]) -> Iterator[None]:
    """Call `before` when Ctrl-Z stops this process, and `after` when it goes on; only for the main thread's signals."""
    stop, go_on = signal.SIGTSTP, signal.SIGCONT
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(stop) is not signal.SIG_DFL:
        yield
        return

    def on_stop(_number: int, _frame: FrameType | None) -> None:
        before()
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # not through the console, in whose output the signal may come
        signal.signal(stop, signal.SIG_DFL)
        signal.raise_signal(stop)
        signal.signal(stop, on_stop)

    def on_resumed(_number: int, _frame: FrameType | None) -> None:
        after()

    earlier = signal.signal(go_on, on_resumed)
    signal.signal(stop, on_stop)
    try:
        yield
    finally:
        signal.signal(stop, signal.SIG_DFL)
        signal.signal(go_on, earlier)


def _is_in_foreground() -> bool:
    """Return whether stdin is a terminal that sends its keys here; a background process must not change it."""
    if termios is None or not sys.stdin or not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # the terminal of another session
        return False
