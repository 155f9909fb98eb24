"""Remove database addresses and passwords from everything that the server sends or logs.

No response contains the address of the server's own storage. But anybody may write an address into a study's name,
note or attribute, and a database driver may put one into an error message. So all text is redacted.
"""

import logging
import re

_SLASHES = rb"(?:/|\\/|\\u002f){2}"
"""Two slashes, either plain or escaped as in JSON."""
_ESCAPED = rb"\\u(?!002f)[0-9a-f]{4}"
_DATABASES = rb"(?:postgres(?:ql)?|cockroachdb|mysql|mariadb|sqlite|oracle|mssql|rediss?|mongodb)(?:\+\w+)?"
# No part can match in two ways, and the scheme is short, so that the time stays linear in the length of any text.
_PASSWORD = rb"[a-z][a-z0-9+.-]{0,30}:%b(?:[^\s/?#\"'<>\\@:]|%b)*:(?:[^\s/?#\"'<>\\]|%b)*@" % (
    _SLASHES,
    _ESCAPED,
    _ESCAPED,
)
_REST = rb"(?:[^\s\"'<>\\]|\\/|\\u[0-9a-f]{4})*"
_URL = re.compile(rb"\b(?:%b:%b|%b)%b" % (_DATABASES, _SLASHES, _PASSWORD, _REST), re.IGNORECASE)
_ANY_URL = re.compile(rb":%b" % _SLASHES, re.IGNORECASE)
_REPLACEMENT = b"[database address withheld]"


def redact(text: bytes) -> bytes:
    """Replace each database address, and each URL that holds a password, in a text or JSON."""
    return _URL.sub(_REPLACEMENT, text) if _ANY_URL.search(text) else text


class RedactingFormatter(logging.Formatter):
    """A log formatter that redacts messages and tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, redacted."""
        return redact(super().format(record).encode()).decode()
