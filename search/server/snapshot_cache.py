"""Campaigns for any number of readers at once: each is read at most once a second, each answer made once.

What readers cost the workers is bounded, however many there are: the longer a snapshot and its figures took to make,
the longer they are shown.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from coarsefine.search.errors import SearchError, StorageError
from coarsefine.search.server.redaction import redact
from coarsefine.search.server.snapshots import Snapshot, SnapshotReader

_FRESH_SECONDS, _OLDEST_SECONDS = 1.0, 10.0
"""How old a snapshot may be: at least, and at most."""
_SHARE = 0.05
"""Of a processor that may be spent on reading a campaign and making its answers."""
_STEP_SECONDS = 0.25
_BEAT_SECONDS = 15.0
"""Between signs of life on a stream where nothing changes: proxies close silent connections."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent, and the tag by which a browser knows that it has it already."""

    body: bytes
    tag: str

    @classmethod
    def of(cls, text: bytes) -> "Answer":
        """Make a text fit to be sent."""
        body = redact(text)
        return cls(body, f'"{hashlib.blake2s(body, digest_size=12).hexdigest()}"')


@dataclass(slots=True)
class _Held:
    """A snapshot that is shown until it is too old."""

    snapshot: Snapshot
    at: float
    spent: float
    """Processor seconds it took, with the answers made of it."""

    @property
    def is_fresh(self) -> bool:
        age = time.monotonic() - self.at
        return age < min(max(_FRESH_SECONDS, self.spent / _SHARE), _OLDEST_SECONDS)


class SnapshotCache:
    """What the routes ask. All its methods belong to one event loop."""

    def __init__(self, reader: SnapshotReader) -> None:
        self._reader = reader
        self._reading, self._making = asyncio.Lock(), asyncio.Lock()
        self._held: dict[str, _Held] = {}
        self._trouble: tuple[float, StorageError] | None = None
        self.closing = False
        """Set when the server is to end: streams end then."""

    async def names(self) -> list[str]:
        """Return the campaigns' names, in the order they were begun."""
        return await self._read(self._reader.names)

    async def problems(self) -> list[str]:
        """Return what is left out and belongs to no campaign that can be shown."""
        return await self._read(self._reader.problems)

    async def warm(self) -> None:
        """Read every campaign once, so that the first visitor of a large one need not wait for it."""
        with suppress(SearchError):  # whoever asks hears of it
            for name in await self.names():
                if not self.closing:
                    await self.get(name)

    async def get(self, name: str) -> Snapshot:
        """Return a campaign as it stood a second ago at most, or ten where it is so large that a second is too dear.

        Raises `UsageError` for a campaign that is not there, and `StorageError`.
        """
        held = self._held.get(name)
        if held is None or not held.is_fresh:
            async with self._reading:
                held = self._held.get(name)
                if held is None or not held.is_fresh:
                    self._held.pop(name, None)
                    snapshot, spent = await self._look(lambda: self._reader.read(name))
                    held = self._held[name] = _Held(snapshot, time.monotonic(), spent)
        return held.snapshot

    async def answer(self, snapshot: Snapshot, key: Hashable, make: Callable[[], bytes]) -> Answer:
        """Return the answer that is known of a snapshot by a key; the first to ask has it made."""
        if key not in snapshot.answers:
            async with self._making:
                if key not in snapshot.answers:
                    text, spent = await asyncio.to_thread(_timed, make)
                    snapshot.answers[key] = Answer.of(text)
                    held = self._held.get(snapshot.status.campaign)
                    if held is not None and held.snapshot is snapshot:
                        held.spent += spent
        known: Answer = snapshot.answers[key]
        return known

    async def changes(self, name: str) -> AsyncIterator[Snapshot | None]:
        """Yield a campaign at once and whenever it has changed; None now and then, as a sign of life."""
        seen, told = 0, time.monotonic()
        while not self.closing:
            snapshot = await self.get(name)
            if snapshot.revision != seen:
                seen, told = snapshot.revision, time.monotonic()
                yield snapshot
            elif time.monotonic() - told > _BEAT_SECONDS:
                told = time.monotonic()
                yield None
            await asyncio.sleep(_STEP_SECONDS)

    async def _read(self, work: Callable[[], _T]) -> _T:
        async with self._reading:
            return (await self._look(work))[0]

    async def _look(self, work: Callable[[], _T]) -> tuple[_T, float]:
        """Do a reading in a thread; return its processor seconds, too.

        After one that failed, nobody tries for a second, and all hear of that one.
        """
        if self._trouble is not None and time.monotonic() - self._trouble[0] < _FRESH_SECONDS:
            raise self._trouble[1].with_traceback(None)
        try:
            found = await asyncio.to_thread(_timed, work)
        except StorageError as error:
            if self._trouble is None or str(self._trouble[1]) != str(error):
                _log.error("%s", error)
            self._trouble = (time.monotonic(), error)
            raise
        self._trouble = None
        return found


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """Return what the work returns, and the processor time of this thread that it took."""
    began = time.thread_time()
    return work(), time.thread_time() - began
