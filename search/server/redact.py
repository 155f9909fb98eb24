"""Keeps database addresses and passwords out of what is sent and logged, wherever they come from.

The server's own location never goes into an answer. But anybody may write a URL into a study's name, note or attribute,
and a driver may put one into its error: so everything that is text passes here.
"""

import logging
import re

_DATABASES = rb"postgres(?:ql)?|mysql|mariadb|sqlite|oracle|mssql|redis|rediss|cockroachdb|mongodb"
_URL = re.compile(
    rb"""\b(?:(?:%b)(?:\+\w+)?:(?://|\\/\\/)       # the URL of a database,
        |[a-z][a-z0-9+.-]*://[^\s/?\#"'<>\\]*:[^\s/?\#"'<>\\]*(?=@))   # or any with a password
        [^\s"'<>\\]*""" % _DATABASES,
    re.IGNORECASE | re.VERBOSE,
)  # fmt: skip
_WITHHELD = b"[database address withheld]"


def redact(text: bytes) -> bytes:
    """Return a text without the addresses in it that a database or a password is in."""
    return _URL.sub(_WITHHELD, text) if b":" in text else text


class Redacting(logging.Formatter):
    """Formats log records, tracebacks too, without such addresses."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        return redact(super().format(record).encode()).decode()
