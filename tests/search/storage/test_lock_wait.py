"""Test the waits for a lock on a SQLite file: after some seconds the user learns who holds it."""

import shutil
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from coarsefine import StorageError
from coarsefine.search.storage import dialect, lock_wait
from coarsefine.search.storage.location import at_file
from coarsefine.search.storage.opening import open_storage


@pytest.fixture
def path(made_file, tmp_path, monkeypatch):
    """Return a storage's file whose readers wait for writers, with waits that are spoken of at once."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = delete")
    monkeypatch.setattr(lock_wait, "_SILENT_SECONDS", 0.01)
    monkeypatch.setattr(lock_wait, "lock_holder", lambda _: "process 7 (python, which is stopped)")
    return path


@pytest.fixture
def holder(path):
    """Return another connection to the file."""
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def write(storage):
    return storage.database.transact(lambda connection: connection.execute(sa.text("SELECT 1")).scalar_one())


def read(storage):
    return storage.database.read(sa.select(sa.literal(1)).select_from(sa.text("studies")).limit(1))


def read_trials(storage):
    return storage.trials_of(1)


def write_a_row(storage):
    statement = sa.text("UPDATE studies SET study_name = study_name")
    return storage.database.transact(lambda connection: connection.execute(statement))


EXCLUSIVE, READING = "BEGIN EXCLUSIVE", "BEGIN; SELECT * FROM studies"


@pytest.mark.parametrize(
    ("act", "lock"), [(write, EXCLUSIVE), (read, EXCLUSIVE), (read_trials, EXCLUSIVE), (write_a_row, READING)]
)
def test_wait_for_a_lock_is_said_once(path, holder, act, lock):
    """A transaction, a commit, a query and a reader of trials say who holds the lock, and go on when it is free."""
    said = []
    with closing(open_storage(at_file(path), writing=True)) as storage:
        storage.database.say_locked = lambda sentence: (said.append(sentence), holder.rollback())
        for statement in lock.split("; "):
            holder.execute(statement).fetchone()
        act(storage)
    assert said == [f"{path} is locked by process 7 (python, which is stopped): waiting for it, a minute at most."]


def test_opening_says_that_it_waits(path, holder):
    """A command that only reads says so when it opens the file."""
    said = []
    holder.execute("BEGIN EXCLUSIVE")
    open_storage(at_file(path), say=lambda sentence: (said.append(sentence), holder.rollback())).close()
    assert len(said) == 1


def test_lock_that_stays_is_an_error_after_the_usual_time(path, holder, monkeypatch):
    """The wait ends when it always did, with the error of the database; between two waits of a minute one is said."""
    said = []
    with closing(open_storage(at_file(path), writing=True, say=said.append)) as storage:
        monkeypatch.setattr(dialect, "BUSY_SECONDS", 0.05)
        holder.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StorageError, match="database is locked"):
                write(storage)
    assert len(said) == 1
