"""The errors of databases and disks in words: the place, the cause and the remedy that fits.

Optuna reports a full disk as "invalid data", SQLAlchemy adds the statement, and its pool hides a database that is gone
behind an exception without words. So the cause is looked for in the whole chain of exceptions.
"""

import errno
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from coarsefine.model.errors import message_of
from coarsefine.search.storage.file_state import lock_holder, trouble_with
from coarsefine.search.storage.location import Location

_AGAIN = "run the same command again: what was recorded is kept"
_RESTORE = "restore it from a backup, or give another --storage"
_GRANT = "Grant yourself read and write access to it and its folder, or give another --storage."
_NO_DATABASE = re.compile(r"<3d000>|database .* does not exist")
_DENIED = re.compile(r"<sqlite_(cantopen|perm|readonly)|<e(acces|perm|rofs|isdir|noent|notdir)>")
_LOCKED = re.compile(r"<sqlite_(busy|locked)")
_MOVED = re.compile(r"<sqlite_readonly_dbmoved>")
_REMEDIES = {
    r"<(sqlite_full|53100|enospc|edquot|efbig)>|disk is full": f"Free some space and {_AGAIN}.",
    r"<(sqlite_ioerr.*|eio|58030)>": f"Check the disk and its free space, and {_AGAIN}.",
    r"<(sqlite_(corrupt|notadb).*|xx00[12])>": "It is damaged: run the same command again, which names a good backup.",
    r"no longer compatible|storage upgrade": (
        "Coarsefine needs tables of the Optuna version it runs with: install that version, or give another --storage."
    ),
    r"no such (table|column)|<(42p01|42703|3f000)>": f"Another program has removed or changed its tables: {_RESTORE}.",
    r"too many (connections|clients)|connection slots|<53300>": (
        f"Close other connections, or ask the server's administrator to allow more, and {_AGAIN}."
    ),
    r"permitted to log in|currently accepting|permission denied for database": (
        "Ask the server's administrator to allow connections to it."
    ),
    r"starting up|shutting down|recovery|terminating connection|<57p0[123]>": (
        f"The server starts or stops: wait until it runs, and {_AGAIN}."
    ),
    r"<25006>": (
        "It takes no writes, as on a standby server: give the URL of a database that does, or ask its administrator."
    ),
    _NO_DATABASE.pattern: "Create the database first (createdb), or correct the URL.",
    r"password|authentication|pg_hba|role ": (
        "Give user and password in the URL, by PGUSER and PGPASSWORD, or in ~/.pgpass."
    ),
    r"<42501>|permission denied for|must be owner": (
        "Ask the database's owner to grant the right to read, create and write its tables."
    ),
    r"(resolve|translate) host": "Correct the host in the URL, or check the network of this machine.",
    r"\bssl\b|certificate": "Set `sslmode` in the URL to what the server offers.",
    r"invalid (connection option|port|integer|\w+ value)": "Correct the options in the URL.",
    r"<(57014|55p03|25p03)>": f"The server allows too little time for it: raise its limit for this user, and {_AGAIN}.",
    r"<enametoolong>": "Give a shorter --storage.",
    r"connection|timeout|<(08|57)": f"Check that the server runs and can be reached, then {_AGAIN}.",
}
"""What to do, by patterns of codes and words; the first match counts."""
_HINTS = ("Is the server running", "LINE ", "HINT:")
"""How lines of messages begin that repeat a remedy or show the statement."""


def describe(place: Path | Location, error: BaseException, *, in_use: bool = False) -> str:
    """Return what happened at a place and what to do, without the secrets of a location.

    `in_use` says that the database was opened before.
    """
    root = root_cause(error)
    cause = text_of(root)
    if isinstance(place, Location):
        for secret in place.secrets:
            cause = cause.replace(secret, "***")
    cause = cause or f"{type(root).__name__} without a message"
    signature = f"{_code_of(root)} {cause}".lower()
    path = place.path if isinstance(place, Location) else place
    known = _of_file(path, cause, signature) if path is not None else None
    return known or f"{place}: {cause}. {_remedy(signature, in_use=in_use)}"


def root_cause(error: BaseException) -> BaseException:
    """Return the innermost exception of a chain that says something: one of a driver or the system, if any does."""
    chain = [getattr(each, "orig", None) or each for each in _chain(error)]
    speaking = [each for each in chain if text_of(each)]
    native = [each for each in speaking if isinstance(each, (OSError, sqlite3.Error)) or _is_of_psycopg(each)]
    return (native or speaking or [error])[-1]


def text_of(error: BaseException) -> str:
    """Return what an exception says, on one line without its last full stop; empty if it says nothing."""
    text = getattr(error, "strerror", None) or message_of(error)
    lines = [line.strip() for line in text.splitlines()]
    shown = " ".join(" ".join(line for line in lines if not line.startswith(_HINTS) and line != "^").split())
    return "" if shown in {"()", "None"} else shown.rstrip(".")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_of_psycopg(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == "psycopg"


def _code_of(error: BaseException) -> str:
    """Return SQLite's, PostgreSQL's or the system's code of an error, in angle brackets."""
    number: int = getattr(error, "errno", None) or 0
    known = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or errno.errorcode.get(number)
    return f"<{known}>"


def _of_file(path: Path, cause: str, signature: str) -> str | None:
    """Return what happened to a file, from its state; None if that shows nothing."""
    if _MOVED.search(signature):
        return (
            f"{path} was deleted, moved or replaced while it was in use: put it back, or a copy from "
            f"{path.name}-backups, and run the same command again."
        )
    if _LOCKED.search(signature):
        who = lock_holder(path)
        end = f"{who} has locked it: end it" if who else "Another program has locked it: close that program"
        return f"{path}: {cause}. {end[0].upper()}{end[1:]}, and {_AGAIN}."
    if _DENIED.search(signature):
        return trouble_with(path) or f"{path}: {cause}. {_GRANT}"
    return None


def _remedy(signature: str, *, in_use: bool) -> str:
    if in_use and _NO_DATABASE.search(signature):
        return f"Another program has dropped or renamed it: {_RESTORE}."
    found = (remedy for pattern, remedy in _REMEDIES.items() if re.search(pattern, signature))
    return next(found, "Check it, or give another --storage.")
