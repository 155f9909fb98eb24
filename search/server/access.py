"""Access rules: check the Host header, the token, and the cookie that replaces the token in a browser."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MIN_TOKEN_LENGTH = 16
"""The fewest characters of a token: a shorter one could be guessed."""
COOKIE_SECONDS = 12 * 3600
_BEARER = "bearer "
_HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Who may use the server, and whether they may write. `AccessMiddleware` applies it to every request."""

    hosts: frozenset[str]
    """Accepted values of the Host header, in lower case."""
    token: str | None = field(default=None, repr=False)
    """The secret that grants access; None if everybody who reaches the address has access."""
    allow_write: bool = False
    cookie: str = "coarsefine"
    """The cookie's name. `serve` puts the port into it, because browsers send a cookie to every port of its host."""
    clock: Callable[[], float] = field(default=time.time, repr=False)

    def allows_host(self, host: str) -> bool:
        """Return whether a Host header names this server.

        If it does not, a page of another site may have pointed its own domain name here (DNS rebinding).
        """
        return host.lower() in self.hosts

    def is_authenticated(self, authorization: str | None, cookies: Iterable[str]) -> bool:
        """Return whether a request carries the token in its Authorization header, or a valid cookie."""
        if self.token is None:
            return True
        if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
            return self.is_token(authorization[len(_BEARER) :].strip())
        return any(self._is_valid_cookie(value) for header in cookies for value in self._cookie_values(header))

    def is_token(self, candidate: str) -> bool:
        """Return whether a string is the token. The time taken does not depend on how much of it is right."""
        return self.token is not None and hmac.compare_digest(_digest(candidate), _digest(self.token))

    def new_cookie(self) -> str:
        """Return a cookie's value: its expiry time and a signature made with the token. It does not hold the token."""
        expiry = str(int(self.clock()) + COOKIE_SECONDS)
        return f"{expiry}.{self._sign(expiry)}"

    def _cookie_values(self, header: str) -> list[str]:
        pairs = (pair.partition("=") for pair in header.split(";"))
        return [value.strip() for name, _, value in pairs if name.strip() == self.cookie]

    def _is_valid_cookie(self, value: str) -> bool:
        expiry, _, signature = value.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(expiry).encode()):
            return False
        return self.clock() < int(expiry)  # the signature is ours, so the expiry is a number

    def _sign(self, expiry: str) -> str:
        assert self.token is not None, "cookies exist only if there is a token"  # noqa: S101
        return hmac.new(self.token.encode(), b"coarsefine cookie " + expiry.encode(), hashlib.sha256).hexdigest()


def new_token() -> str:
    """Return a random token of 256 bits."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_headers(hosts: Iterable[str], port: int, allowed: Iterable[str] = ()) -> frozenset[str]:
    """Return the accepted values of the Host header: the server's hosts with its port, and the `allowed` ones.

    The allowed hosts are accepted as written and with the server's port: a proxy may listen on another port, or on
    the default port, which browsers leave out.
    """
    own = [f"[{host}]" if ":" in host else host for host in hosts]
    default_port = own if port == _HTTP_PORT else []
    headers = [*default_port, *allowed, *(f"{name}:{port}" for name in (*own, *allowed))]
    return frozenset(header.lower() for header in headers)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
