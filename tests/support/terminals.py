"""A run in a real pseudo-terminal, with an emulator on its other side."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress

import pyte

_SPARE = 60
"""Columns the emulator has beyond those the run is told of: what goes past its edge is seen there."""
_TAKE_TERMINAL = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])"
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


class Terminal:
    """A command whose stdin and stderr are a terminal, and its stdout too unless that is taken apart."""

    def __init__(self, folder, *arguments, columns=80, rows=30, apart=True, **environment):
        self.columns, self.rows = columns, rows
        self._master, end = pty.openpty()
        self._resize(end)
        self.screen = pyte.Screen(columns + _SPARE, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        not_its = {"CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}
        inherited = {name: value for name, value in os.environ.items() if name not in not_its}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, sys.executable, "-m", "coarsefine", *map(str, arguments)],
            cwd=folder, stdin=end, stderr=end, stdout=subprocess.PIPE if apart else end, start_new_session=True,
            env={**inherited, "TERM": "xterm-256color", **environment},
        )  # fmt: skip
        os.close(end)

    def frames(self):
        """Yield the screen's lines after each piece of output, until there is no more."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            if not select.select([self._master], [], [], 1)[0]:
                continue
            try:
                read = os.read(self._master, 1 << 16)
            except OSError:  # Linux says so where the other side was closed
                read = b""
            if not read:
                return
            self.raw += read
            self._stream.feed(read)
            yield self.lines
        raise AssertionError("it did not end")

    @property
    def line_of_cursor(self):
        """Return the line in which the cursor stands."""
        return self.screen.display[self.screen.cursor.y]

    def until(self, *parts):
        """Return the lines as soon as some of them hold each part."""
        for lines in self.frames():
            if all(any(part in line for line in lines) for part in parts):
                return lines
        raise AssertionError(f"{parts} was never shown:\n{self.text}")

    def finish(self):
        """Read to the end; return the exit code and, where it was taken apart, stdout."""
        for _ in self.frames():
            pass
        told = self.process.stdout.read().decode() if self.process.stdout else ""
        return self.process.wait(240), told

    def close(self):
        """End what still runs, as closing a terminal's window does, and let go of it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        with suppress(OSError):
            os.close(self._master)

    def type(self, keys):
        """Type something."""
        os.write(self._master, keys)

    def resize(self, columns):
        """Make the terminal narrower or wider, as a user does who drags its edge; the run is told by SIGWINCH."""
        self.columns = columns
        self._resize(self._master)
        self.screen.resize(self.rows, columns + _SPARE)

    def _resize(self, side):
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))

    @property
    def echoes(self):
        """Tell whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    @property
    def lines(self):
        """Return the screen's lines, without the blanks at their ends."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        """Return the screen as one text."""
        return "\n".join(self.lines).rstrip()
