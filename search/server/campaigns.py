"""What the server knows of the storage's campaigns: read by one reader, whoever asks."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from search.errors import UsageError
from search.status import Status, read_status
from search.storage import Storage
from search.study import Study, campaign_names, find_studies

_FRESH_SECONDS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A campaign at one moment, and the answers made from it, each once."""

    revision: int
    status: Status
    studies: dict[str, Study]
    _answers: dict[Any, bytes] = field(default_factory=dict)

    def answer(self, key: Any, make: Callable[["View"], bytes]) -> bytes:
        """Return the answer known by a key; made when it is first asked for."""
        if key not in self._answers:
            self._answers[key] = make(self)
        return self._answers[key]


class Campaigns:
    """The campaigns of a storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._lock = threading.Lock()
        self._views: dict[str, tuple[float, View]] = {}

    def names(self) -> list[str]:
        """Return the campaigns' names, in the order they were begun."""
        return campaign_names(self.storage)

    def view(self, name: str) -> View:
        """Return a campaign as it stands; raise `UsageError` for one that is not there."""
        with self._lock:
            read_at, known = self._views.get(name, (0.0, None))
            if known is not None and time.monotonic() - read_at < _FRESH_SECONDS:
                return known
            if name not in self.names():
                raise UsageError(f"There is no campaign '{name}'.")
            status, studies = read_status(self.storage, name), find_studies(self.storage, name)
            same = known is not None and known.status == status
            view = known if same else View(known.revision + 1 if known else 1, status, studies)
            self._views[name] = (time.monotonic(), view)
            return view
