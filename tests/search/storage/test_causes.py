"""Test the words for errors of databases and disks: the cause that says something, its place, a remedy that fits."""

import errno
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError

from coarsefine import StorageError
from coarsefine.search.storage import database, sqlite
from coarsefine.search.storage.causes import describe
from coarsefine.search.storage.database import only_here, persist, storage_errors
from coarsefine.search.storage.file_state import lock_holder
from coarsefine.search.storage.location import at_file, locate
from coarsefine.search.storage.opening import open_storage

SERVER = "postgresql+psycopg://u:s3cret@db/search"


def chained(*errors):
    """Return the first of some exceptions, each of which was raised while the next one was handled."""
    for outer, inner in itertools.pairwise(errors):
        outer.__context__ = inner
    return errors[0]


def of_driver(error):
    """Return an error of a driver as SQLAlchemy raises it."""
    return sa.exc.OperationalError("SELECT 1", {}, error)


def of_server(kind, text):
    """Return an error of PostgreSQL as SQLAlchemy raises it."""
    return of_driver(getattr(psycopg.errors, kind)(text))


class UnprintableError(RuntimeError):
    """An exception that cannot be printed."""

    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (chained(of_driver(psycopg.OperationalError('FATAL: database "search" does not exist')),
                 sa.exc.InvalidatePoolError(())), 'database "search" does not exist. Create the database first'),
        (chained(StorageInternalError("invalid data"), of_driver(sqlite3.OperationalError("no more memory"))),
         "no more memory. Check it"),
        (chained(of_driver(sqlite3.OperationalError("cannot rollback")), OSError(errno.ENOSPC, "No space left")),
         "No space left. Free some space"),
        (RuntimeError(), "RuntimeError without a message. Check it"),
        (UnprintableError(), "its message cannot be printed, ValueError. Check it"),
        (of_driver(psycopg.OperationalError("connection failed: Connection refused\n\tIs the server running there?")),
         "Connection refused. Check that the server runs"),
        (of_driver(psycopg.OperationalError("FATAL: sorry, too many clients already")), "Close other connections"),
        (of_driver(psycopg.OperationalError("FATAL: the database system is starting up")), "wait until it runs"),
        (of_driver(psycopg.OperationalError("FATAL: the database system is in recovery mode")), "wait until it runs"),
        (of_driver(psycopg.OperationalError("failed to resolve host 'db'")), "Correct the host in the URL"),
        (of_driver(psycopg.OperationalError("password authentication failed with s3cret")), "with ***. Give user"),
        (of_driver(psycopg.ProgrammingError('invalid connection option "x"')), "Correct the options in the URL"),
        (of_server("AdminShutdown", "terminating connection"), "The server starts or stops"),
        (of_server("UndefinedTable", 'relation "lease" does not exist\nLINE 2: FROM lease'),
         'relation "lease" does not exist. Another program has removed or changed its tables'),
        (of_server("InsufficientPrivilege", "permission denied for table trials"), "Ask the database's owner"),
        (of_server("ReadOnlySqlTransaction", "cannot execute INSERT"), "It takes no writes"),
        (of_server("DiskFull", "could not extend file"), "Free some space"),
        (of_server("QueryCanceled", "canceling statement due to statement timeout"), "allows too little time"),
    ],
)  # fmt: skip
def test_error_of_a_server_has_its_cause_and_a_remedy_that_fits(error, words):
    """The message has the words of the exception that says something, wherever it is in the chain, and no password."""
    message = describe(locate(SERVER), error)
    assert message.startswith("postgresql+psycopg://u@db/search: ")
    assert words in message
    assert "s3cret" not in message


def test_database_that_is_gone_while_it_is_used_is_not_to_be_created():
    """A database that was dropped during a run is to be restored: a new one would be empty."""
    error = of_driver(psycopg.OperationalError('database "search" does not exist'))
    assert "has dropped or renamed it: restore it" in describe(locate(SERVER), error, in_use=True)


@pytest.mark.parametrize("command", ["run", "status"])
@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("link", "where there is no file: remove the link"),
        ("loop", "where there is no file: remove the link"),
        ("folder", "is not a file: give --storage the path"),
        ("x" * 300, "File name too long. Give a shorter --storage"),
        ("no/where", "There is no folder {}/no: make it (mkdir -p {}/no), or"),
        ("file/s.db", "{}/file is not a folder, so there can be no file in it"),
    ],
    ids=["link", "loop", "folder", "long", "missing folder", "file for a folder"],
)
def test_place_where_no_file_can_be_is_named(cli, small_file, tmp_path, command, made, words):
    """The message names the link, the folder or the file that is in the way, and what to do about it."""
    (tmp_path / "link").symlink_to("gone.db")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    arguments = [command, str(small_file), "--workers", "1"] if command == "run" else [command]
    code, out, err = cli(*arguments, "--storage", made)
    assert (code, out) == (5, "")
    if command == "status" and "/" in made:  # nothing is to be made there
        words = "There is no {}/" + made + ": start a campaign"
    assert words.format(tmp_path, tmp_path) in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("refused", "mounted", "words"),
    [("studies.db", 0, "Permission denied. Grant yourself"), ("", 0, "cannot be written, and SQLite keeps its journal"),
     ("", 1, "is mounted read-only")],
)  # fmt: skip
def test_what_is_write_protected_is_named(made_file, monkeypatch, refused, mounted, words):
    """It is the file, its folder or the file system, as the state of the disk shows, whatever SQLite says."""
    place = made_file if refused else made_file.parent
    monkeypatch.setattr(os, "access", lambda path, _: path != place)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=mounted * os.ST_RDONLY))
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorname = "SQLITE_READONLY"
    assert words in describe(at_file(made_file), error)


def test_file_that_is_deleted_while_it_is_used_is_named(made_file, tmp_path):
    """A file that was deleted, moved or replaced is not a matter of rights: it is to be put back."""
    path = tmp_path / "studies.db"
    path.write_bytes(made_file.read_bytes())
    with closing(open_storage(at_file(path), writing=True)) as storage:
        storage.get_all_studies()
        path.unlink()
        with pytest.raises(StorageError, match=r"was deleted, moved or replaced while it was in use: put it back"):
            storage.once.acquire(1)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not list locks")
def test_process_that_has_locked_a_file_is_named(made_file, tmp_path, monkeypatch):
    """The message about a locked file has the number and the name of the process that holds the lock."""
    path = tmp_path / "studies.db"
    path.write_bytes(made_file.read_bytes())
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    hold = (
        f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('BEGIN EXCLUSIVE'); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(StorageError, match=rf"is locked. Process {holder.pid} \(python\S*\) has locked it: end it"):
            open_storage(at_file(path))
        holder.communicate("\n")


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not list locks")
def test_process_that_only_reads_is_named_to_the_one_that_writes(made_file, tmp_path):
    """A process that reads a file has locked it for the one that commits, and for nobody else."""
    path = tmp_path / "studies.db"
    path.write_bytes(made_file.read_bytes())
    hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN'); "
    hold += "c.execute('SELECT * FROM studies').fetchall(); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        holder.stdout.readline()
        assert lock_holder(path) is None
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            assert f"process {holder.pid} (" in lock_holder(path)
        holder.communicate("\n")


def test_other_threads_say_nothing():
    """What waits is said by the thread that was asked to, not by the one that renews leases at the same time."""
    said = []
    say = only_here(said.append)
    other = threading.Thread(target=say, args=["renewing"])
    other.start()
    other.join()
    say("working")
    assert said == ["working"]


def test_waiting_for_a_server_is_said_once(monkeypatch):
    """If a server does not answer for more than a moment, the user is told why nothing happens, once."""
    clock = iter(range(100))
    monkeypatch.setattr(database, "time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(clock) / 2))
    failures, said = [of_driver(psycopg.OperationalError("connection failed: Connection refused"))] * 6, []

    def work():
        if failures:
            raise failures.pop()
        return "done"

    assert persist(work, said.append) == "done"
    assert said == ["The database does not answer (connection failed: Connection refused): trying again for a minute."]


def test_error_in_a_rollback_does_not_hide_its_cause(location):
    """If the rollback after an error fails, too, the message is about the first error."""

    def fill(connection):
        connection.exec_driver_sql("ROLLBACK")  # as SQLite does on a full disk
        raise OSError(errno.ENOSPC, "No space left on device")

    with closing(open_storage(location, writing=True)) as storage, pytest.raises(StorageError, match="No space left"):
        storage.database.transact(fill)


def test_error_of_a_path_names_it(tmp_path):
    """An error of the system at a path is reported with the path."""
    message = rf"^{tmp_path}/x: Input/output error. Check the disk"
    with pytest.raises(StorageError, match=message), storage_errors(tmp_path / "x"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
