"""optuna-dashboard as a WSGI application whose responses and log contain no secrets."""

import functools
import logging
import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from coarsefine.search.errors import StorageError
from coarsefine.search.server.change_detector import ChangeDetector
from coarsefine.search.server.redaction import redact
from coarsefine.search.storage.optuna_storage import Storage

_TEXT_TYPES = ("application/json", "text/")
_log = logging.getLogger(__name__)


def make_dashboard(storage: Storage, changes: ChangeDetector) -> WSGIApplication:
    """Return optuna-dashboard over a storage, without artifacts and without a language model.

    Its first request imports it: with pandas and scikit-learn, this takes as long as all else that a server imports.
    """
    importing = threading.Lock()

    @functools.cache
    def application() -> Any:
        import optuna_dashboard  # noqa: PLC0415 - as said above

        return optuna_dashboard.wsgi(storage)

    def dashboard(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # optuna-dashboard raises KeyError without it
        environ["wsgi.errors"] = _ErrorLog()
        try:
            changes.version()  # makes the storage readable
        except StorageError as error:
            _log.error("%s", error)
            start("503 Service Unavailable", [("Content-Type", "application/json")])
            return [b'{"reason": "The storage cannot be read just now."}']
        with importing:
            wsgi = application()
        return _redacted(wsgi, environ, start)

    return dashboard


def _redacted(wsgi: Any, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """Call the dashboard and redact its response if that is text.

    An exception that the dashboard passes to `start_response` is in its log already and is not raised again.
    """
    starts: list[tuple[str, list[tuple[str, str]]]] = []
    body: Iterable[bytes] = wsgi(environ, lambda status, headers, _=None: starts.append((status, headers)))
    status, headers = starts[-1]
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    compressed = any(name.lower() == "content-encoding" for name, _ in headers)
    if content_type.startswith(_TEXT_TYPES) and not compressed and not environ["PATH_INFO"].startswith("/static/"):
        text = redact(_read_all(body))
        if text:
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(text))))
        body = [text]
    start(status, headers)
    return body


def _read_all(body: Iterable[bytes]) -> bytes:
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):  # a file
            body.close()


class _ErrorLog:
    """The stream to which the dashboard writes the tracebacks of its errors."""

    def write(self, text: str) -> None:
        """Log a text."""
        _log.error("optuna-dashboard: %s", text)

    def flush(self) -> None:
        """Do nothing: every text is logged at once."""
