"""Tells cheaply whether anybody has written to a storage since it was last asked."""

import sqlite3
import threading

import sqlalchemy as sa

from coarsefine.search.storage import sqlite
from coarsefine.search.storage.optuna_storage import Storage


class ChangeDetector:
    """Watches a storage. Threads may share it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._connection: sa.Connection | None = None
        self._file: tuple[int, int] | None = None

    def mark(self) -> object:
        """Return what stays equal as long as nobody writes; raise `StorageError` where the storage cannot be read."""
        with self._lock, self._storage.guarded():
            if self._storage.location.kind == "postgresql":
                with self._storage.engine.connect() as connection:
                    return connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one()
            try:
                return self._version()
            except sa.exc.OperationalError as error:
                self._leave()
                if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise
                sqlite.roll_back(self._storage.location.file)
                return self._version()

    def close(self) -> None:
        """Close the connection that is kept."""
        with self._lock:
            self._leave()

    def _version(self) -> object:
        """Return the file's identity and version: somebody may have put another in its place."""
        stat = self._storage.location.file.stat()
        file = (stat.st_dev, stat.st_ino)
        if self._connection is None or file != self._file:
            self._leave()
            self._storage.engine.dispose()
            self._file, self._connection = file, self._storage.engine.connect()
        # The number is this connection's own, and changes with what others commit.
        return file, self._connection.exec_driver_sql("PRAGMA data_version").scalar_one()

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
