"""Limits on connections: how many there are, and how long a client may take to send a request and to read a response.

A server that waits for ever for the rest of a request can be stopped by anybody who opens connections. uvicorn has no
such deadlines, and its `limit_concurrency` counts idle connections, so that strangers could have everybody refused.
Here a new connection is accepted as long as it can take the place of a stranger's: of one that has not shown a token.
"""

import asyncio
import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Self

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_MOST_CONNECTIONS = 4096
_MOST_PER_ADDRESS = 64
_RESERVED_DESCRIPTORS = 64
"""Descriptors for the database, its journals, the listening socket and the standard streams."""
_WANTED_DESCRIPTORS = 4 * _MOST_CONNECTIONS

_Phase = Literal["head", "body", "idle"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may use of the server."""

    connections: int = _MOST_CONNECTIONS
    per_address: int = _MOST_PER_ADDRESS
    """Strangers' connections from one address."""
    head_seconds: float = 10.0
    """From the connection, or the first byte of a further request, to the end of the headers."""
    body_seconds: float = 30.0
    """From the end of the headers to the end of the body."""
    idle_seconds: float = 60.0
    """Between two requests: pages send one every few seconds."""
    stall_seconds: float = 30.0
    """For a client that does not read what was sent to it."""

    @property
    def strangers(self) -> int:
        """Return the most connections that all strangers may have together."""
        return self.connections // 2

    @property
    def streams(self) -> int:
        """Return the most event streams: those who watch leave some connections to requests."""
        return self.connections * 3 // 4

    @classmethod
    def of_descriptors(cls, descriptors: int) -> Self:
        """Return limits with which a process of so many descriptors does not run out of them.

        A connection may need a second one, for the file that is sent on it.
        """
        found = max(16, min(_MOST_CONNECTIONS, (descriptors - _RESERVED_DESCRIPTORS) // 2))
        return cls(found, min(_MOST_PER_ADDRESS, found // 2))


def raise_descriptor_limit() -> int:
    """Raise this process's limit on open descriptors as far as it is useful and allowed; return the limit."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return 2 * _WANTED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS refuses more than its kernel's own limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


class Connections:
    """All connections of a server. Beyond the limits it closes some, first the oldest of strangers."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._known: dict[Connection, None] = {}
        self._strangers: dict[Connection, None] = {}
        self._by_address: dict[str, dict[Connection, None]] = {}

    @property
    def all(self) -> list["Connection"]:
        """Return all connections."""
        return [*self._known, *self._strangers]

    def add(self, new: "Connection") -> None:
        """Count a new connection, which is a stranger's until it has shown a token, and close one that is too many."""
        self._add_stranger(new)
        if len(self._by_address[new.address]) > self.limits.per_address:
            _close_one(self._by_address[new.address])
        elif len(self._strangers) > self.limits.strangers:
            _close_one(self._strangers)
        elif len(self._strangers) + len(self._known) > self.limits.connections:
            idle = next((connection for connection in self._known if connection.is_waiting), None)
            _close_one(self._strangers if len(self._strangers) > 1 or idle is None else {idle: None})

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self._known.pop(connection, None)
        self._strangers.pop(connection, None)
        same = self._by_address.get(connection.address, {})
        same.pop(connection, None)
        if not same:
            self._by_address.pop(connection.address, None)

    def identify(self, connection: "Connection", *, known: bool) -> None:
        """Note whether the request on a connection comes from somebody who has the token."""
        if known is not (connection in self._known):
            self.remove(connection)
            if known:
                self._known[connection] = None
            else:
                self._add_stranger(connection)

    def _add_stranger(self, connection: "Connection") -> None:
        self._strangers[connection] = None
        self._by_address.setdefault(connection.address, {})[connection] = None


def _close_one(candidates: dict["Connection", None]) -> None:
    """Close the oldest connection on which no request is being answered, or else the oldest."""
    (next((c for c in candidates if c.is_waiting), None) or next(iter(candidates))).abort()


class Connection(H11Protocol):
    """uvicorn's protocol with deadlines. It gives itself to the application as `scope["state"]["connection"]`."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.app_state = {**self.app_state, "connection": self}
        self.address = ""
        """The client's address; of an IPv6 address the network, since one client has all the addresses in it."""
        self._connections, self.limits = connections, connections.limits
        self._phase: _Phase | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._has_begun = False

    @property
    def is_waiting(self) -> bool:
        """Return whether the client has to send something, so that no request is being answered."""
        return self._phase is not None

    def identify(self, *, known: bool) -> None:
        """Note whether the request comes from somebody who has the token."""
        if not self.transport.is_closing():
            self._connections.identify(self, known=known)

    def abort(self) -> None:
        """Close the connection at once."""
        self._connections.remove(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and start to wait for a request."""
        super().connection_made(transport)
        self.address = network_of(self.client[0] if self.client else "")
        self._watch()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.remove(self)
        self._set_phase(None)
        self._forget_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what the client sent."""
        self._has_begun = True
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; if it is the rest of a request that is being answered, close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # else its response would be an error of h11
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE} and not (self.cycle and self.cycle.disconnected):
            super().send_400_response(msg)
        else:
            self.abort()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stall_seconds, self.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        self._forget_stall()

    def _watch(self) -> None:
        """Set the deadline of what the client has to send next. A client that sends slowly does not extend it."""
        self._set_phase(None if self.transport.is_closing() else self._awaited())

    def _awaited(self) -> _Phase | None:
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        if self.conn.their_state is not h11.IDLE:
            return None
        return "head" if self.conn.trailing_data[0] or not self._has_begun else "idle"

    def _set_phase(self, phase: _Phase | None) -> None:
        if phase == self._phase:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = {"head": self.limits.head_seconds, "body": self.limits.body_seconds, "idle": self.limits.idle_seconds}
        self._deadline = None if phase is None else self.loop.call_later(seconds[phase], self.abort)
        self._phase = phase

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, of an IPv6 address the /64 network, and any other text as it is."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.ipv4_mapped is not None:
        return str(getattr(found, "ipv4_mapped", None) or found)
    return str(ipaddress.ip_network((found, 64), strict=False))
