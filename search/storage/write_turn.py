"""Turns at writing into a SQLite file: processes write one after the other, without SQLite's long waits.

A process that finds a SQLite file locked sleeps for up to a tenth of a second and tries again; each try holds up the
process that is about to commit. With many workers and short trials, most of the time nobody writes. So each process
first takes a lock on a file beside the database, which costs a microsecond to try. The lock only saves time: SQLite's
own locks keep transactions apart, also without it.

Each change of the process costs time, too: the next one first wakes up, with little of its memory in the processor's
caches. So a process that does hardly anything between its transactions keeps the turn for several.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MOST_SECONDS = 5.0
"""How long to wait for a turn: longer than any transaction, unless its process was stopped within it."""
_SHORTEST_WAIT, _LONGEST_WAIT = 0.0003, 0.01
"""Seconds between tries. Those that have waited long try less often, so that a crowd leaves the processors to work."""
_BRIEF_SECONDS = 0.001
"""Seconds between two transactions that are not worth giving the turn to another process."""
_BRIEF_PAUSES = 2
"""After as many such pauses in a row a process keeps the turn: one always follows when a trial has ended."""
_MOST_KEPT_SECONDS = 0.05
"""How long a process keeps the turn, with the transactions meanwhile."""
_WATCH_SECONDS = 0.002
"""Seconds between looks whether a kept turn is still used."""


class WriteTurn:
    """The turns of one storage of this process at a SQLite file; None stands for a server, which has its own locks."""

    def __init__(self, database: Path | None) -> None:
        self._path = None if database is None or fcntl is None else database.with_name(f".{database.name}-turn")
        self._file: int | None = None
        self._is_stuck = False
        """Whether the last wait was in vain: until the lock is free again, there is no further one."""
        self._threads = threading.Lock()
        """Other threads of this process wait here: the system's lock belongs to the process as a whole."""
        self._is_kept = self._is_watched = False
        """Whether this process has the turn without a transaction, and whether a thread will give it back."""
        self._began = self._ended = 0.0
        """When the turn was taken, and when the last transaction ended."""
        self._brief_pauses = 0
        """How many pauses in a row were brief."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, a few seconds at most, and hold it while entered.

        After a wait in vain, nobody waits until the lock has been free once. Afterwards the turn is kept for a moment
        if this process has needed it again at once before.
        """
        if self._path is None:
            yield
            return
        with self._threads:
            is_brief = time.monotonic() - self._ended < _BRIEF_SECONDS
            self._brief_pauses = self._brief_pauses + 1 if is_brief else 0
            held = self._is_kept or self._wait()
            try:
                yield
            finally:
                self._ended = time.monotonic()
                if held:
                    self._keep_or_unlock()

    def close(self) -> None:
        """Close the file, and remove it unless another process has the turn; a later turn makes it again."""
        with self._threads, suppress(OSError):
            if self._file is None:
                return
            if self._lock():
                self._path.unlink(missing_ok=True)  # type: ignore[union-attr]  # there is a file
            self._leave()
            self._is_kept = False

    def _wait(self) -> bool:
        """Return whether the lock was taken in time."""
        began = time.monotonic()
        try:
            while not self._lock():
                waited = time.monotonic() - began
                if self._is_stuck or waited > _MOST_SECONDS:
                    self._is_stuck = True
                    return False
                longest = min(max(waited / 8, _SHORTEST_WAIT), _LONGEST_WAIT)
                time.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - not for secrets
        except OSError:  # for example, the folder cannot be written: the transaction says so
            return False
        self._is_stuck = False
        self._began = time.monotonic()
        return True

    def _keep_or_unlock(self) -> None:
        """Keep the turn after a transaction if the next one will probably follow at once."""
        is_due = self._ended >= self._began + _MOST_KEPT_SECONDS
        self._is_kept = self._brief_pauses >= _BRIEF_PAUSES and not is_due and self._starts_to_watch()
        if not self._is_kept:
            self._unlock()

    def _starts_to_watch(self) -> bool:
        """Start the thread that gives a kept turn back, unless it runs; return whether it runs."""
        if not self._is_watched:
            with suppress(RuntimeError):  # the system has no room for a thread
                threading.Thread(target=self._watch, name="gives a turn back", daemon=True).start()
                self._is_watched = True
        return self._is_watched

    def _watch(self) -> None:
        """Give the turn back if the next transaction does not follow soon; return when it is not kept."""
        while True:
            time.sleep(_WATCH_SECONDS)
            if not self._threads.acquire(blocking=False):  # there is a transaction
                continue
            try:
                if self._is_kept and time.monotonic() >= self._ended + _BRIEF_SECONDS:
                    self._is_kept = False
                    self._unlock()
                if not self._is_kept:
                    self._is_watched = False
                    return
            finally:
                self._threads.release()

    def _lock(self) -> bool:
        """Try to take the lock, which ends with the process that has it."""
        if self._file is None:
            assert self._path is not None, "the caller has checked it"  # noqa: S101
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # which one, depends on the system
            return False
        if os.fstat(self._file).st_nlink:
            return True
        self._leave()  # another process has removed the file: others wait at a new one
        return False

    def _unlock(self) -> None:
        with suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_UN)  # type: ignore[arg-type]  # it is locked, so it is open

    def _leave(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
