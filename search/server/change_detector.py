"""Detect cheaply whether anybody has written to a storage."""

import sqlite3
import threading
from pathlib import Path

import sqlalchemy as sa

from coarsefine.search.storage import sqlite
from coarsefine.search.storage.optuna_storage import Storage


class ChangeDetector:
    """Compares the state of a storage over time. Threads may share it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._connection: sa.Connection | None = None
        self._file: tuple[int, int] | None = None

    def version(self) -> object:
        """Return a value that stays equal as long as nobody writes; make the storage readable for this, if need be.

        A replaced SQLite file is opened again, and what a killed writer left in it is rolled back. Raises
        `StorageError` if the storage cannot be read even then.
        """
        with self._lock, self._storage.guarded():
            path = self._storage.location.path
            if path is None:
                with self._storage.engine.connect() as connection:
                    return connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one()
            try:
                return self._sqlite_version(path)
            except sa.exc.OperationalError as error:
                self._disconnect()
                if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise
                sqlite.roll_back(path)
                return self._sqlite_version(path)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._disconnect()

    def _sqlite_version(self, path: Path) -> object:
        """Return the file's identity and its version. Connect again if another file has replaced it."""
        stat = path.stat()
        file = (stat.st_dev, stat.st_ino)
        if self._connection is None or file != self._file:
            self._disconnect()
            self._storage.engine.dispose()
            self._file, self._connection = file, self._storage.engine.connect()
        # SQLite counts for each connection what others commit: only numbers read on one connection can be compared.
        return file, self._connection.exec_driver_sql("PRAGMA data_version").scalar_one()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
