"""Run a command in a real pseudo-terminal, with an emulator on its other side."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import pyte
from forked import Forked, run_command

_SPARE = 60
"""Extra columns of the emulator that the run does not know of: they show text that passes its edge."""
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


class Terminal:
    """A command whose stdin and stderr are a terminal, and with `apart=False` its stdout too."""

    def __init__(self, folder, *arguments, columns=80, rows=30, apart=True, **environment):
        self.columns, self.rows = columns, rows
        self._master, end = pty.openpty()
        self._resize(end)
        self.screen = pyte.Screen(columns + _SPARE, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        not_its = {"CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}
        inherited = {name: value for name, value in os.environ.items() if name not in not_its}
        with Connection(end) as terminal:  # can be sent to the process
            self.process = Forked(
                _run_on, terminal, apart, arguments, cwd=folder, start_new_session=True,
                env={**inherited, "TERM": "xterm-256color", **environment},
            )  # fmt: skip

    def frames(self):
        """Yield the screen's lines after each piece of output, until the output ends."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            if not select.select([self._master], [], [], 1)[0]:
                continue
            try:
                read = os.read(self._master, 1 << 16)
            except OSError:  # Linux raises it once the other side is closed
                read = b""
            if not read:
                return
            self.raw += read
            self._stream.feed(read)
            yield self.lines
        raise AssertionError("the command did not end")

    @property
    def line_of_cursor(self):
        """Return the line of the cursor."""
        return self.screen.display[self.screen.cursor.y]

    def until(self, *parts):
        """Return the lines as soon as each part is in one of them."""
        for lines in self.frames():
            if all(any(part in line for line in lines) for part in parts):
                return lines
        raise AssertionError(f"{parts} was never shown:\n{self.text}")

    def finish(self):
        """Read to the end; return the exit code and, with `apart`, stdout."""
        for _ in self.frames():
            pass
        return self.process.wait(240), self.process.stdout.read().decode()

    def close(self):
        """Kill the command if it still runs, as closing a terminal's window does, and close its files."""
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            os.close(self._master)

    def type(self, keys):
        """Type keys."""
        os.write(self._master, keys)

    def resize(self, columns):
        """Change the terminal's width, as a user who drags its edge does; the command receives SIGWINCH."""
        self.columns = columns
        self._resize(self._master)
        self.screen.resize(self.rows, columns + _SPARE)

    def _resize(self, side):
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))

    @property
    def echoes(self):
        """Return whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    @property
    def lines(self):
        """Return the screen's lines without trailing blanks."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        """Return the screen as one text."""
        return "\n".join(self.lines).rstrip()


def _run_on(terminal, apart, arguments):
    """Run a command whose stdin and stderr, and unless `apart` stdout, are the terminal that controls its session."""
    for number in (0, 2) if apart else (0, 1, 2):
        os.dup2(terminal.fileno(), number)
    terminal.close()
    os.close(os.open(os.ttyname(0), os.O_RDWR))
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a forked process has none
    # The streams of the fork server were made for files: they would seek when they are reconfigured.
    sys.stdout, sys.stderr = (open(number, "w", 1, "utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    run_command(*arguments)
