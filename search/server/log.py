"""The server's log: redacted, and no longer than somebody can read, whatever clients do."""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import optuna

from coarsefine.search.server.redaction import RedactingFormatter

_MOST, _PERIOD_SECONDS = 5, 60.0


@dataclass(slots=True)
class _Seen:
    since: float
    count: int = 0


class RepeatFilter(logging.Filter):
    """Passes five records a minute from each place in the code, and says how many it has left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int, object], _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to print a record. The place of an exception is where it was caught, and its type."""
        key = record.pathname, record.lineno, record.exc_info[0] if record.exc_info else None
        seen = self._seen.setdefault(key, _Seen(self._clock()))
        left_out = 0
        if self._clock() - seen.since >= _PERIOD_SECONDS:
            left_out = max(0, seen.count - _MOST)
            self._seen[key] = seen = _Seen(self._clock())
        seen.count += 1
        if left_out:
            _append(record, f"({left_out} more messages like this were left out.)")
        if seen.count == _MOST:
            _append(record, "(More messages like this are left out for a minute.)")
        return seen.count <= _MOST


def _append(record: logging.LogRecord, sentence: str) -> None:
    record.msg, record.args = f"{record.getMessage()} {sentence}", None


def log_to_stderr() -> None:
    """Send all log records to stderr, redacted. Requests are not logged, because they may contain secrets."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
