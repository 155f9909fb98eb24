"""Runs the application: what it listens on, what it prints, how it ends."""

import errno
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
import uvicorn

from coarsefine.search.errors import UsageError
from coarsefine.search.server.access import LEAST_TOKEN, AccessPolicy, host_headers, is_loopback, new_token
from coarsefine.search.server.app import Application, create_app
from coarsefine.search.server.redaction import RedactingFormatter
from coarsefine.search.storage.location import Location

VARIABLE = "COARSEFINE_TOKEN"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LAST_ANSWERS_SECONDS = 3
_KEEP_SECONDS = 60
"""An idle connection stays: pages ask again every few seconds."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How the server may be reached, as the user asked for it."""

    host: str = "127.0.0.1"
    port: int = 8080
    allowed_hosts: Sequence[str] = ()
    token_file: Path | None = None
    no_token: bool = False
    allow_write: bool = False


def serve(location: Location, access: ServeOptions, say: Callable[[str], None]) -> None:
    """Serve the studies at a location until Ctrl-C or SIGTERM; `say` hears where, and the token if one was made.

    Raises `UsageError` for an address that cannot be had or may not be open, and `StorageError`.
    """
    token, made = _token(access)
    listener = listen(access.host, access.port)
    with listener:
        port = listener.getsockname()[1]
        hosts = host_headers(_own_hosts(access.host), port, access.allowed_hosts)
        app = create_app(location, AccessPolicy(hosts, token, access.allow_write, f"coarsefine_{port}"))
        _log_to_stderr()
        for line in _greeting(access, port, token if made else None):
            say(line)
        with suppress(KeyboardInterrupt):  # uvicorn sends itself Ctrl-C again, once it has ended
            make_server(app).run([listener])


def make_server(app: Application) -> uvicorn.Server:
    """Return what serves an application on the sockets that its `run` is given."""
    return _Server(app)


class _Server(uvicorn.Server):
    """Ends event streams first: a server waits for its answers to end, and these never do."""

    def __init__(self, app: Application) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, ws="none",
            timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS, timeout_keep_alive=_KEEP_SECONDS,
        )  # fmt: skip
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._app.cache.closing = True
        await super().shutdown(sockets)


def _token(access: ServeOptions) -> tuple[str | None, bool]:
    """Return the token that opens the server, if it needs one, and whether it was made just now."""
    given = _given_token(access)
    if access.no_token and given is not None:
        raise UsageError(f"--no-token and a token exclude each other: leave one out (see --token-file and {VARIABLE}).")
    if given is not None:
        return _fit(given, access), False
    if is_loopback(access.host):
        return None, False
    if access.no_token:
        raise UsageError(
            f"--host {access.host} can be reached from other machines, so it needs a token: leave --no-token out, "
            "or serve on 127.0.0.1 and come through an SSH tunnel."
        )
    return new_token(), True


def _given_token(access: ServeOptions) -> str | None:
    if access.token_file is None:
        return os.environ.get(VARIABLE)
    try:
        return access.token_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {access.token_file} cannot be read: {error}.") from error


def _fit(token: str, access: ServeOptions) -> str:
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        where = f"--token-file {access.token_file}" if access.token_file else VARIABLE
        raise UsageError(
            f"The token in {where} has {len(token)} characters or some that are not plain: give at least {LEAST_TOKEN} "
            "letters, digits and signs, without spaces, or leave it out to have one made."
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address of this machine; raise `UsageError` where it cannot be had."""
    numeric = "127.0.0.1" if host == "localhost" else host
    try:
        found = socket.getaddrinfo(numeric, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with ExitStack() as undone:
            # With its protocol: asyncio lets small answers wait 40 ms on a socket that does not say that it is TCP.
            listener = undone.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()  # who reads the address that is printed next may come at once
            undone.pop_all()
    except OSError as error:
        raise UsageError(f"{host}, port {port}: {_why(error)}") from error
    return listener


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address. Give --host one that it has, such as 127.0.0.1."
    if error.errno == errno.EADDRINUSE:
        return "another program listens there. Stop it, or give --port another number; 0 takes a free one."
    if error.errno == errno.EACCES:
        return "you may not listen there. Give --port a number from 1024 on."
    return f"{error.strerror}. Give another --host or --port."


def _own_hosts(host: str) -> set[str]:
    """Return the names by which this machine is asked where it listens on an address."""
    if host not in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not listened on
        return {*_LOOPBACK, host}
    addresses = {
        a.address.partition("%")[0] for found in psutil.net_if_addrs().values() for a in found if _is_ip(a.family)
    }
    return {*_LOOPBACK, *addresses, socket.gethostname(), socket.getfqdn()}


def _is_ip(family: int) -> bool:
    return family in {socket.AF_INET, socket.AF_INET6}


def _greeting(access: ServeOptions, port: int, token: str | None) -> list[str]:
    everywhere = access.host in {"0.0.0.0", "::", ""}  # noqa: S104
    host = socket.gethostname() if everywhere else access.host
    name = f"[{host}]" if ":" in host else host
    writing = "Notes can be written and studies deleted." if access.allow_write else "It only reads."
    lines = [f"Campaigns: http://{name}:{port}/", f"{writing} Ctrl-C ends it."]
    if token is not None:
        lines.insert(1, f"Token: {token} (made for this start; give your own by --token-file or {VARIABLE})")
    return lines


def _log_to_stderr() -> None:
    """Send all that is logged to stderr, without secrets; requests are not logged, nor what they bring."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
