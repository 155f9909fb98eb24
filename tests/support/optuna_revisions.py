"""Let Optuna read the revisions of its tables once in a process, not four times for each new database.

The revisions are modules of Optuna, which alembic executes each time. It is enough to import this module, and processes
that are forked later have read them, too.
"""

from optuna.storages._rdb.storage import _VersionManager

_manager = _VersionManager.__new__(_VersionManager)
_manager.url = "sqlite://"  # no revision depends on it
_revisions = _manager._create_alembic_script()
_revisions.get_current_head()  # alembic keeps what it has read
_VersionManager._create_alembic_script = lambda _: _revisions
