"""The terminal of a live view: its keys, and its cursor."""

import os
import pty
import signal
import sys
import termios

import pytest

from coarsefine.search.terminal import live_screen
from coarsefine.search.terminal.live_screen import echo_disabled


@pytest.fixture
def terminal(monkeypatch):
    """Return a terminal's stream, and a function that returns whether it echoes keys and what it has received."""
    master, end = pty.openpty()
    with os.fdopen(end, "r+b", buffering=0) as both:
        monkeypatch.setattr(live_screen, "_is_in_foreground", lambda: True)

        def state():
            os.write(end, b"|")
            received = b""
            while not received.endswith(b"|"):
                received += os.read(master, 100)
            return bool(termios.tcgetattr(end)[3] & termios.ECHO), received[:-1]

        yield both, state
    os.close(master)


def test_ctrl_z_gives_the_terminal_back(terminal, monkeypatch):
    """When Ctrl-Z stops the process, cursor and echo are back; when it goes on, the view is drawn again."""
    stream, state = terminal
    monkeypatch.setattr(sys, "stdin", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    stopped, resumed = [], []
    monkeypatch.setattr(signal, "raise_signal", lambda kind: stopped.append((kind, signal.getsignal(kind), state())))
    with echo_disabled(lambda: resumed.append(state())):
        assert state() == (False, b"")
        os.kill(os.getpid(), signal.SIGTSTP)
        assert stopped == [(signal.SIGTSTP, signal.SIG_DFL, (True, b"\x1b[?25h"))]
        os.kill(os.getpid(), signal.SIGCONT)
        assert resumed == [(False, b"")]
        os.kill(os.getpid(), signal.SIGTSTP)
        assert len(stopped) == 2
    assert state() == (True, b"")
    assert [signal.getsignal(kind) for kind in (signal.SIGTSTP, signal.SIGCONT)] == [signal.SIG_DFL] * 2
