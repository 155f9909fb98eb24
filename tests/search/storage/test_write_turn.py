"""Test the turns at writing into a SQLite file."""

import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coarsefine.search.storage import write_turn
from coarsefine.search.storage.write_turn import WriteTurn

HOLD = """
import sys
from pathlib import Path
from coarsefine.search.storage.write_turn import WriteTurn

with WriteTurn(Path(sys.argv[1])).taken():
    print(flush=True)
    sys.stdin.read()
"""
"""Holds a turn until the input ends."""

LOCK = """
import fcntl, sys

with open(sys.argv[1], "r+") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | int(sys.argv[2]))
    except OSError:
        sys.exit("held")
"""
"""Takes the lock of the turns, with these flags."""


@pytest.fixture
def held(tmp_path):
    """Return a process that has the turn at `tmp_path / "studies.db"`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "studies.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_turn_is_waited_for(held, tmp_path, monkeypatch):
    """A process waits while another one has the turn, and goes on when that one ends, however it does."""
    monkeypatch.setattr(write_turn, "_MOST_SECONDS", 600.0)
    began, taken = threading.Event(), threading.Event()

    def take():
        began.set()
        with WriteTurn(tmp_path / "studies.db").taken():
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert began.wait(60)
    assert not taken.wait(0.05)
    held.kill()
    assert taken.wait(60)
    thread.join()


def test_file_goes_with_the_last_process(tmp_path):
    """The file is removed at the end; a process that still had it open goes on with a new one."""
    first, second = WriteTurn(tmp_path / "studies.db"), WriteTurn(tmp_path / "studies.db")
    for turn in (first, second):
        with turn.taken():
            (file,) = tmp_path.iterdir()
    third = WriteTurn(tmp_path / "studies.db")
    with third.taken():
        first.close()
    assert not file.exists()
    third.close()
    with second.taken():
        assert file.exists()
    second.close()
    second.close()
    assert not file.exists()


def test_file_stays_while_another_process_has_the_turn(held, tmp_path, monkeypatch):
    """A process that ends leaves the file to another one that has the turn at this moment."""
    monkeypatch.setattr(write_turn, "_MOST_SECONDS", 0.01)
    turn = WriteTurn(tmp_path / "studies.db")
    with turn.taken():
        pass
    turn.close()
    assert held.poll() is None
    assert [path.name for path in tmp_path.iterdir()] == [".studies.db-turn"]


def test_turn_is_not_waited_for_for_ever(held, tmp_path, monkeypatch):
    """If a process is stopped while it has the turn, others wait once for some seconds, and then write without turns.

    When it is free again, they take turns again.
    """
    monkeypatch.setattr(write_turn, "_MOST_SECONDS", 0.01)
    turn = WriteTurn(tmp_path / "studies.db")
    with turn.taken():
        assert held.poll() is None
    monkeypatch.setattr(write_turn, "_MOST_SECONDS", 600.0)
    for _ in range(3):
        with turn.taken():
            assert held.poll() is None
    held.kill()
    held.wait(60)
    with turn.taken():
        assert not turn._is_stuck


def test_turn_that_cannot_be_taken_stops_nobody(tmp_path):
    """Where no file can be made for turns, and for a server, there are none."""
    for place in (tmp_path / "missing" / "studies.db", None):
        turn = WriteTurn(place)
        with turn.taken():
            pass
        turn.close()
    assert not [*Path(tmp_path).iterdir()]


def take(turn, times):
    """Take a turn several times, one after the other."""
    for _ in range(times):
        with turn.taken():
            pass


def is_free(folder, *, wait=False):
    """Return whether another process can take the turn of a file in a folder now, or with `wait` at any time."""
    flags = 0 if wait else fcntl.LOCK_NB
    command = [sys.executable, "-c", LOCK, str(folder / ".studies.db-turn"), str(flags)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.fixture
def turn(tmp_path):
    """Return the turn of this process at `tmp_path / "studies.db"`."""
    turn = WriteTurn(tmp_path / "studies.db")
    yield turn
    turn.close()


def test_turn_is_kept_for_transactions_without_pauses(turn, tmp_path, monkeypatch):
    """A process that needs the turn again at once keeps it, but not for ever: then others have theirs."""
    monkeypatch.setattr(write_turn, "_BRIEF_SECONDS", 600.0)
    monkeypatch.setattr(write_turn, "_MOST_KEPT_SECONDS", 600.0)
    take(turn, 4)
    assert not is_free(tmp_path)
    monkeypatch.setattr(write_turn, "_MOST_KEPT_SECONDS", 0.0)
    take(turn, 1)
    assert is_free(tmp_path)


def test_kept_turn_is_given_back(turn, tmp_path, monkeypatch):
    """A process whose next transaction does not follow gives the turn back, without doing anything more."""
    monkeypatch.setattr(write_turn, "_BRIEF_SECONDS", 600.0)
    monkeypatch.setattr(write_turn, "_MOST_KEPT_SECONDS", 600.0)
    take(turn, 4)
    monkeypatch.setattr(write_turn, "_BRIEF_SECONDS", 0.0)
    assert is_free(tmp_path, wait=True)


def test_turn_is_not_kept_after_pauses(turn, tmp_path, monkeypatch):
    """A process that trains between its transactions gives the turn back after each one."""
    monkeypatch.setattr(write_turn, "_BRIEF_SECONDS", 0.0)
    take(turn, 4)
    assert is_free(tmp_path)
