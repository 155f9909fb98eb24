"""optuna-dashboard inside our application: read by the shared reader, its answers and its log kept free of secrets."""

import copy
import logging
from collections.abc import Callable, Container, Iterable
from typing import Any

import optuna_dashboard
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.errors import StorageError
from coarsefine.search.server.change_detector import ChangeDetector
from coarsefine.search.server.redaction import redact
from coarsefine.search.server.trial_reader import TrialReader
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[[str, Headers], Any]
Wsgi = Callable[[Environ, Start], Iterable[bytes]]

_TEXT = ("application/json", "text/")
_log = logging.getLogger(__name__)


class SharedStorage(Storage):
    """A storage whose trials come from the reader that the campaign pages use, too."""

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self.reader = TrialReader(self)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials."""
        self.get_study_name_from_id(study_id)  # raises what Optuna raises for a study that is not there
        found = [trial for trial in self.reader.read(study_id) if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found


def make_dashboard(storage: Storage, changes: ChangeDetector) -> Wsgi:
    """Return optuna-dashboard over a storage: without artifacts, without a language model."""
    inner = optuna_dashboard.wsgi(storage)

    def dashboard(environ: Environ, start: Start) -> Iterable[bytes]:
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # without it, it ends in a KeyError
        environ["wsgi.errors"] = _Log()
        try:
            changes.mark()  # a file that a killed writer left, or that was replaced, can be read after that
        except StorageError as error:
            _log.error("%s", error)
            start("503 Service Unavailable", [("Content-Type", "application/json")])
            return [b'{"reason": "The storage cannot be read just now."}']
        return _answer(inner, environ, start)

    return dashboard


def _answer(inner: Any, environ: Environ, start: Start) -> Iterable[bytes]:
    """Let it answer; what is text is sent without secrets. An error that it has logged goes no further."""
    told: list[tuple[str, Headers]] = []
    body: Iterable[bytes] = inner(environ, lambda status, headers, _=None: told.append((status, headers)))
    status, headers = told[-1]
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    compressed = any(name.lower() == "content-encoding" for name, _ in headers)
    if kind.startswith(_TEXT) and not compressed and not environ["PATH_INFO"].startswith("/static/"):
        text = redact(_whole(body))
        if text:
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(text))))
        body = [text]
    start(status, headers)
    return body


def _whole(body: Iterable[bytes]) -> bytes:
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):  # a file
            body.close()


class _Log:
    """Where the dashboard writes the tracebacks of its errors."""

    def write(self, text: str) -> None:
        """Log a text."""
        _log.error("optuna-dashboard: %s", text)

    def flush(self) -> None:
        """Keep nothing back."""
