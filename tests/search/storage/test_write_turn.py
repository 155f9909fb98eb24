"""Test the turns at writing into a SQLite file."""

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
