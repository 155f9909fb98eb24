"""Who may come in, and for what: hosts, the token, the cookie that stands for it, and reading or writing."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

LEAST_TOKEN = 16
"""Characters below which a token could be guessed."""
COOKIE_SECONDS = 12 * 3600
_BEARER = "bearer "
_HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What the guard asks at every request."""

    hosts: frozenset[str]
    """Values of the header Host under which the server answers, in lower case."""
    token: str | None = field(default=None, repr=False)
    """What opens it; None where everybody who reaches the address may come in."""
    allow_write: bool = False
    cookie: str = "coarsefine"
    """The cookie's name: browsers do not tell servers on other ports of the same host apart."""
    clock: Callable[[], float] = field(default=time.time, repr=False)

    def knows(self, host: str) -> bool:
        """Tell whether a request is for this server: else a page elsewhere has made its own name point here."""
        return host.lower() in self.hosts

    def admits(self, authorization: str | None, cookies: Iterable[str]) -> bool:
        """Tell whether a request brings the token, as a script or as a browser that signed in does."""
        if self.token is None:
            return True
        if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
            return self.opens(authorization[len(_BEARER) :].strip())
        return any(self._is_ours(value) for header in cookies for value in self._values(header))

    def opens(self, token: str) -> bool:
        """Tell whether this is the token, in a time that does not depend on how much of it is right."""
        return self.token is not None and hmac.compare_digest(_digest(token), _digest(self.token))

    def new_cookie(self) -> str:
        """Return what a browser keeps: until when it may come in, sealed by the token, which it does not hold."""
        until = str(int(self.clock()) + COOKIE_SECONDS)
        return f"{until}.{self._seal(until)}"

    def _values(self, header: str) -> list[str]:
        pairs = (pair.partition("=") for pair in header.split(";"))
        return [value.strip() for name, _, value in pairs if name.strip() == self.cookie]

    def _is_ours(self, value: str) -> bool:
        until, _, seal = value.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(until).encode()):
            return False
        return self.clock() < int(until)  # sealed by us, so it is a number

    def _seal(self, until: str) -> str:
        assert self.token is not None, "only a policy with a token has cookies"  # noqa: S101
        return hmac.new(self.token.encode(), b"coarsefine cookie " + until.encode(), hashlib.sha256).hexdigest()


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_headers(hosts: Iterable[str], port: int, allowed: Iterable[str] = ()) -> frozenset[str]:
    """Return the headers Host by which the server may be asked: its own with its port, and what is allowed beside.

    What is allowed is taken as it is written, since a proxy listens on a port of its own, or on the usual one, which
    browsers leave out; and with the server's port.
    """
    named = [f"[{host}]" if ":" in host else host for host in hosts]
    usual = named if port == _HTTP_PORT else []
    found = [*usual, *allowed, *(f"{name}:{port}" for name in (*named, *allowed))]
    return frozenset(name.lower() for name in found)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
