"""Campaigns for any number of readers at once: each is read at most once a second, each answer made once."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from search.errors import StorageError
from search.server.campaigns import Campaigns, View
from search.server.redact import redact

_FRESH_SECONDS = 1.0
"""How old a view may be. It bounds what looking on costs the workers, however many look."""
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


class Board:
    """What the routes ask. All its methods belong to one event loop."""

    def __init__(self, campaigns: Campaigns) -> None:
        self._campaigns = campaigns
        self._reading, self._making = asyncio.Lock(), asyncio.Lock()
        self._views: dict[str, tuple[float, View]] = {}
        self._trouble: tuple[float, StorageError] | None = None
        self.closing = False
        """Set when the server is to end: streams end then."""

    async def names(self) -> list[str]:
        """Return the campaigns' names, in the order they were begun."""
        return await self._read(self._campaigns.names)

    async def problems(self) -> list[str]:
        """Return what is left out and belongs to no campaign that can be shown."""
        return await self._read(self._campaigns.problems)

    async def view(self, name: str) -> View:
        """Return a campaign as it stood at most a second ago.

        Raises `UsageError` for a campaign that is not there, and `StorageError`.
        """
        if (fresh := self._fresh(name)) is not None:
            return fresh
        async with self._reading:
            if (fresh := self._fresh(name)) is not None:
                return fresh
            self._views.pop(name, None)
            view = await self._look(lambda: self._campaigns.view(name))
            self._views[name] = (time.monotonic(), view)
            return view

    async def answer(self, view: View, key: Hashable, make: Callable[[], bytes]) -> Answer:
        """Return the answer that is known of a view by a key; the first to ask has it made."""
        if key not in view.answers:
            async with self._making:
                if key not in view.answers:
                    view.answers[key] = Answer.of(await asyncio.to_thread(make))
        known: Answer = view.answers[key]
        return known

    async def changes(self, name: str) -> AsyncIterator[View | None]:
        """Yield a campaign at once and whenever it has changed; None now and then, as a sign of life."""
        seen, told = 0, time.monotonic()
        while not self.closing:
            view = await self.view(name)
            if view.revision != seen:
                seen, told = view.revision, time.monotonic()
                yield view
            elif time.monotonic() - told > _BEAT_SECONDS:
                told = time.monotonic()
                yield None
            await asyncio.sleep(_STEP_SECONDS)

    def _fresh(self, name: str) -> View | None:
        if name not in self._views:
            return None
        at, view = self._views[name]
        return view if time.monotonic() - at < _FRESH_SECONDS else None

    async def _read(self, work: Callable[[], _T]) -> _T:
        async with self._reading:
            return await self._look(work)

    async def _look(self, work: Callable[[], _T]) -> _T:
        """Do a reading in a thread. After one that failed, nobody tries for a second, and all hear of that one."""
        if self._trouble is not None and time.monotonic() - self._trouble[0] < _FRESH_SECONDS:
            raise self._trouble[1].with_traceback(None)
        try:
            found = await asyncio.to_thread(work)
        except StorageError as error:
            if self._trouble is None or str(self._trouble[1]) != str(error):
                _log.error("%s", error)
            self._trouble = (time.monotonic(), error)
            raise
        self._trouble = None
        return found
