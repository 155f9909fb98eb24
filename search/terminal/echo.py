"""The terminal's keyboard, kept from writing into what is drawn there; Ctrl-C and the like work as ever."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import termios
except ImportError:  # Windows, whose terminal echoes only to who reads
    termios = None  # type: ignore[assignment]


@contextmanager
def silent() -> Iterator[None]:
    """Have the terminal not echo what is typed meanwhile: each Enter would move the view by a line."""
    if not _is_ours():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    without = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(keyboard, termios.TCSANOW, without)
    try:
        yield
    finally:
        if _is_ours():
            termios.tcsetattr(keyboard, termios.TCSANOW, before)


def _is_ours() -> bool:
    """Tell whether stdin is a terminal whose keys come to us: who runs in the background may not touch it."""
    if termios is None or not sys.stdin or not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal, but not the one of this session
        return False
