"""Keeps database addresses and passwords out of what is sent and logged, wherever they come from.

The server's own location never goes into an answer. But anybody may write a URL into a study's name, note or attribute,
and a driver may put one into its error: so everything that is text passes here.
"""

import logging
import re

_SLASHES = rb"(?:/|\\/|\\u002f){2}"
"""Two slashes, as they are, or as some write them in JSON."""
_ESCAPED = rb"\\u(?!002f)[0-9a-f]{4}"
_DATABASES = rb"(?:postgres(?:ql)?|cockroachdb|mysql|mariadb|sqlite|oracle|mssql|rediss?|mongodb)(?:\+\w+)?"
# No part can match in two ways, and the scheme is short: the time stays linear, whatever somebody writes into a note.
_PASSWORD = rb"[a-z][a-z0-9+.-]{0,30}:%b(?:[^\s/?#\"'<>\\@:]|%b)*:(?:[^\s/?#\"'<>\\]|%b)*@" % (
    _SLASHES,
    _ESCAPED,
    _ESCAPED,
)
_REST = rb"(?:[^\s\"'<>\\]|\\/|\\u[0-9a-f]{4})*"
_URL = re.compile(rb"\b(?:%b:%b|%b)%b" % (_DATABASES, _SLASHES, _PASSWORD, _REST), re.IGNORECASE)
_ANY = re.compile(rb":%b" % _SLASHES, re.IGNORECASE)
_WITHHELD = b"[database address withheld]"


def redact(text: bytes) -> bytes:
    """Return a text, JSON or not, without the addresses of databases, and without those that hold a password."""
    return _URL.sub(_WITHHELD, text) if _ANY.search(text) else text


class RedactingFormatter(logging.Formatter):
    """Formats log records, tracebacks too, without such addresses."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        return redact(super().format(record).encode()).decode()
