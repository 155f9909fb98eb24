"""Sessions of browsers that have signed in: a cookie names its session, and neither outlives the other."""

import hashlib
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SESSION_SECONDS = 12 * 3600
_MOST = 1000


@dataclass(eq=False, slots=True)
class Session:
    """The time for which somebody may use the server."""

    expiry: float = math.inf

    @property
    def can_end(self) -> bool:
        """Return whether it is one of a browser that has signed in, and may sign out."""
        return self.expiry < math.inf


ENDLESS = Session()
"""The session of clients that send the token with each request, and of all clients if there is no token."""


class Sessions:
    """The sessions of one server. Threads may share it. Sessions end with the server, too."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[bytes, Session] = {}

    def begin(self) -> str:
        """Begin a session; return the secret that names it. Of too many sessions the oldest ends."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            while self._open and (self.is_over(oldest := next(iter(self._open.values()))) or len(self._open) >= _MOST):
                oldest.expiry = 0.0
                del self._open[next(iter(self._open))]
            self._open[_key(secret)] = Session(self._clock() + SESSION_SECONDS)
        return secret

    def find(self, secret: str) -> Session | None:
        """Return the session that a secret names, if it goes on."""
        with self._lock:
            found = self._open.get(_key(secret))
        return None if found is None or self.is_over(found) else found

    def end(self, secret: str) -> None:
        """End the session that a secret names, if there is one."""
        with self._lock:
            if found := self._open.pop(_key(secret), None):
                found.expiry = 0.0

    def is_over(self, session: Session) -> bool:
        """Return whether a session has ended."""
        return session.expiry <= self._clock()


def _key(secret: str) -> bytes:
    """Return what a session is found by: a digest, so that the time of the search says nothing about the secret."""
    return hashlib.sha256(secret.encode()).digest()
