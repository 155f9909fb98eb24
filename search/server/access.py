"""Access rules: check the Host header, the token, and the session that replaces the token in a browser."""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from coarsefine.search.server.guesses import GuessLimit
from coarsefine.search.server.sessions import ENDLESS, Session, Sessions

MIN_TOKEN_LENGTH = 16
"""The fewest characters of a token: a shorter one could be guessed."""
_MOST_COOKIES = 8
"""Cookies of our name that are looked at in one request."""
_BEARER = "bearer "
_HTTP_PORT = 80
_WRITES = (
    ("PUT", re.compile(r"/api/studies/\d+(/\d+)?/note")),
    ("DELETE", re.compile(r"/api/studies/\d+")),
)
"""What `--allow-write` allows: notes of studies and trials, and deleting a study."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from."""

    address: str
    """The client's address, which a proxy on this machine may have stated."""
    peer: str
    """The address of the connection."""


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
    sessions: Sessions = field(default_factory=Sessions, repr=False)
    guesses: GuessLimit = field(default_factory=GuessLimit, repr=False)

    def allows_host(self, host: str) -> bool:
        """Return whether a Host header names this server.

        If it does not, a page of another site may have pointed its own domain name here (DNS rebinding).
        """
        return host.lower() in self.hosts

    def session(self, authorization: str | None, cookies: Iterable[str], client: Client) -> Session | None:
        """Return the session of a request with the token in its Authorization header, or with a session's cookie.

        Raises `TooManyGuesses` if its client has guessed the token too often.
        """
        if self.token is None:
            return ENDLESS
        for secret in self.secrets(cookies):
            if found := self.sessions.find(secret):
                return found
        if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
            return ENDLESS if self.is_token(authorization[len(_BEARER) :].strip(), client) else None
        return None

    def is_token(self, candidate: str, client: Client) -> bool:
        """Return whether a string is the token; raise `TooManyGuesses` if its client has guessed too often.

        The time taken does not depend on how much of it is right.
        """
        if self.token is None:
            return False
        given, token = _digest(candidate), _digest(self.token)
        return self.guesses.check(given, client.address, client.peer, lambda: hmac.compare_digest(given, token))

    def secrets(self, cookies: Iterable[str]) -> list[str]:
        """Return the values of our cookie in Cookie headers: the secrets that name sessions."""
        pairs = (pair.partition("=") for header in cookies for pair in header.split(";"))
        return [value.strip() for name, _, value in pairs if name.strip() == self.cookie][:_MOST_COOKIES]

    def allows_write(self, method: str, path: str) -> bool:
        """Return whether optuna-dashboard may have a request that writes."""
        return self.allow_write and any(method == allowed and form.fullmatch(path) for allowed, form in _WRITES)


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
