"""A cache of snapshots, for any number of clients: each campaign is read at most once a second.

It bounds what clients cost the workers, however many there are: the longer a snapshot and its figures took to make,
the longer they are kept.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from coarsefine.search.errors import StorageError
from coarsefine.search.results.study_index import StudyIndex
from coarsefine.search.server.redaction import redact
from coarsefine.search.server.snapshots import Snapshot, SnapshotReader

_MIN_AGE_SECONDS, _MAX_AGE_SECONDS = 1.0, 10.0
"""Bounds of the age up to which a snapshot is used."""
_MAX_SHARE = 0.05
"""Share of a processor that reading a campaign and making its figures may take."""
_POLL_SECONDS = 0.25
_HEARTBEAT_SECONDS = 15.0
"""Seconds between comments on a stream on which nothing changes: proxies close silent connections."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TaggedBody:
    """The body of a response, without secrets, and its ETag."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, text: bytes) -> "TaggedBody":
        """Redact a text and compute its ETag."""
        content = redact(text)
        return cls(content, f'"{hashlib.blake2s(content, digest_size=12).hexdigest()}"')


@dataclass(slots=True)
class _Entry:
    snapshot: Snapshot
    read_at: float
    cost: float
    """Processor seconds that the snapshot and the bodies made from it took."""

    @property
    def is_fresh(self) -> bool:
        age = time.monotonic() - self.read_at
        return age < min(max(_MIN_AGE_SECONDS, self.cost / _MAX_SHARE), _MAX_AGE_SECONDS)


class SnapshotCache:
    """The newest snapshot of each campaign. All methods belong to one event loop."""

    def __init__(self, reader: SnapshotReader) -> None:
        self._reader = reader
        self._read_lock, self._body_lock = asyncio.Lock(), asyncio.Lock()
        self._entries: dict[str, _Entry] = {}
        self._failure: tuple[float, StorageError] | None = None
        self.streams = 0
        """The number of event streams that are open."""
        self.closing = False
        """Set when the server stops; it ends the streams."""

    async def index(self) -> StudyIndex:
        """Return which studies belong to which campaign."""
        async with self._read_lock:
            return (await self._read(self._reader.index))[0]

    async def warm(self) -> None:
        """Read every campaign once, so that the first client does not wait for a large one."""
        with suppress(StorageError):  # the first request gets the error
            for name in (await self.index()).stages:
                with suppress(Exception):  # so does the first request for this campaign
                    if not self.closing:
                        await self.get(name)

    async def get(self, name: str) -> Snapshot:
        """Return a snapshot of a campaign that is at most one second old, or ten if reading it takes long.

        Raises `UsageError` if there is no such campaign, and `StorageError`.
        """
        entry = self._entries.get(name)
        if entry is None or not entry.is_fresh:
            async with self._read_lock:
                entry = self._entries.get(name)
                if entry is None or not entry.is_fresh:
                    self._entries.pop(name, None)
                    snapshot, cost = await self._read(lambda: self._reader.read(name))
                    entry = self._entries[name] = _Entry(snapshot, time.monotonic(), cost)
        return entry.snapshot

    async def body(self, snapshot: Snapshot, key: Hashable, make: Callable[[], bytes]) -> TaggedBody:
        """Return the body kept with a snapshot under a key; call `make` if there is none yet."""
        if key not in snapshot.bodies:
            async with self._body_lock:
                if key not in snapshot.bodies:
                    text, cost = await asyncio.to_thread(_timed, make)
                    snapshot.bodies[key] = TaggedBody.of(text)
                    entry = self._entries.get(snapshot.status.campaign)
                    if entry is not None and entry.snapshot is snapshot:
                        entry.cost += cost
        body: TaggedBody = snapshot.bodies[key]
        return body

    async def changes(self, name: str, is_over: Callable[[], bool]) -> AsyncIterator[Snapshot | None]:
        """Yield a campaign's snapshot at once and after each change, until `is_over` returns True.

        Yields None now and then as a heartbeat.
        """
        revision, sent_at = 0, time.monotonic()
        while not self.closing and not is_over():
            snapshot = await self.get(name)
            if snapshot.revision != revision:
                revision, sent_at = snapshot.revision, time.monotonic()
                yield snapshot
            elif time.monotonic() - sent_at > _HEARTBEAT_SECONDS:
                sent_at = time.monotonic()
                yield None
            await asyncio.sleep(_POLL_SECONDS)

    async def _read(self, read: Callable[[], _T]) -> tuple[_T, float]:
        """Run a read in a thread; return its result and the processor seconds it took.

        After a failure, all reads fail with the same error for a second, without trying.
        """
        if self._failure is not None and time.monotonic() - self._failure[0] < _MIN_AGE_SECONDS:
            raise self._failure[1].with_traceback(None)
        try:
            result = await asyncio.to_thread(_timed, read)
        except StorageError as error:
            if self._failure is None or str(self._failure[1]) != str(error):
                _log.error("%s", error)
            self._failure = (time.monotonic(), error)
            raise
        self._failure = None
        return result


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """Return the result of the work, and the processor seconds that this thread spent on it."""
    start = time.thread_time()
    return work(), time.thread_time() - start
