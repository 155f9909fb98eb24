"""A limit on guesses of the token: after some wrong ones, an address has to wait between two."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_AT_ONCE = 10
_SECONDS_EACH = 2.0
"""Seconds after which an address has one guess more, up to those that it has at once."""
_THROUGH_PROXY = 10
"""How many times the guesses of a client a peer has, which may be a proxy of many."""
_REMEMBERED = 16
_MOST_ADDRESSES = 10_000

_log = logging.getLogger(__name__)


class TooManyGuesses(Exception):  # noqa: N818 - names what happened
    """An address has to wait before its next guess is looked at."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many wrong tokens from this address: try again in {max(1, round(seconds))} s.")
        self.seconds = max(1, round(seconds))


@dataclass(slots=True)
class _Guesser:
    most: float
    at: float
    left: float
    wrong: deque[bytes] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Its last wrong guesses. One that is repeated, as by a program with an old token, reveals nothing."""

    def refill(self, now: float) -> None:
        self.left = min(self.most, self.left + max(0.0, now - self.at) * self.most / (_AT_ONCE * _SECONDS_EACH))
        self.at = now


class GuessLimit:
    """Counts wrong tokens by address, for one event loop.

    It is an address's own wrong guesses that it waits for. A client behind a proxy has an address that it may have
    made up, so the peer's guesses are limited, too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guessers: dict[tuple[str, str], _Guesser] = {}

    def check(self, candidate: bytes, client: str, peer: str, is_right: Callable[[], bool]) -> bool:
        """Return whether a candidate's digest is the token's; raise `TooManyGuesses` if nobody may look at it yet."""
        guessers = [self._guesser("client", client, _AT_ONCE), self._guesser("peer", peer, _AT_ONCE * _THROUGH_PROXY)]
        if candidate in guessers[0].wrong:
            return False
        for guesser in guessers:
            if guesser.left < 1:
                raise TooManyGuesses((1 - guesser.left) * _AT_ONCE * _SECONDS_EACH / guesser.most)
        if is_right():
            return True
        for guesser in guessers:
            guesser.left -= 1
        guessers[0].wrong.append(candidate)
        if guessers[0].left < 1:
            _log.warning("Wrong tokens from %s: it has to wait before each further one.", client or "a client")
        return False

    def _guesser(self, kind: str, address: str, most: float) -> _Guesser:
        now = self._clock()
        if (found := self._guessers.pop((kind, address), None)) is None:
            found = _Guesser(most, now, most)
            if len(self._guessers) >= _MOST_ADDRESSES:
                del self._guessers[next(iter(self._guessers))]
        self._guessers[kind, address] = found  # the last: the one that is forgotten first has not guessed for long
        found.refill(now)
        return found
