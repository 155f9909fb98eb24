"""Run the server: find its token, listen on its address, print a greeting, and stop it cleanly."""

import errno
import math
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import uvicorn

from coarsefine.search.errors import UsageError
from coarsefine.search.server.access import MIN_TOKEN_LENGTH, AccessPolicy, host_headers, is_loopback, new_token
from coarsefine.search.server.app import Application
from coarsefine.search.server.connections import Connection, Connections, Limits, raise_descriptor_limit
from coarsefine.search.server.log import log_to_stderr
from coarsefine.search.storage.location import Location

VARIABLE = "COARSEFINE_TOKEN"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ALL_ADDRESSES = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not listened on
_SHUTDOWN_SECONDS = 3
_ACCEPTED_AT_ONCE = 8
"""Connections accepted before the first of them is counted: few, because they need descriptors."""
_PENDING = 1024
"""Connections that the system keeps until they are accepted."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of `coarsefine serve`."""

    host: str
    port: int
    allowed_hosts: Sequence[str]
    token_file: Path | None
    no_token: bool
    allow_write: bool


def serve(location: Location, options: ServeOptions, say: Callable[[str], None]) -> None:
    """Serve the studies at a location until Ctrl-C or SIGTERM; pass the lines of a greeting to `say`.

    Raises `UsageError` if the address is not available or needs a token that is missing, and `StorageError`.
    """
    given = _given_token(options)
    made = new_token() if given is None and not is_loopback(options.host) else None
    with listen(options.host, options.port) as listener:
        port = listener.getsockname()[1]
        hosts = host_headers(_own_hosts(options.host), port, options.allowed_hosts)
        app = Application(location, AccessPolicy(hosts, given or made, options.allow_write, f"coarsefine_{port}"))
        log_to_stderr()

        def greet() -> None:
            for line in _greeting(options, port, made):
                say(line)

        with suppress(KeyboardInterrupt):  # uvicorn raises the signal again after its shutdown
            Server(app, greet).run([listener])


class Server(uvicorn.Server):
    """Serves an application on the sockets given to `run`, within limits; by default those of its descriptors.

    It ends event streams before it shuts down, because uvicorn waits for open responses.
    """

    def __init__(
        self, app: Application, on_started: Callable[[], None] = lambda: None, limits: Limits | None = None
    ) -> None:
        self.connections = connections = Connections(limits or Limits.of_descriptors(raise_descriptor_limit()))
        # `error`: strangers choose how often uvicorn warns of what is no HTTP.
        config = uvicorn.Config(
            app, log_config=None, log_level="error", access_log=False, server_header=False,
            loop="asyncio", http=partial(Connection, connections), ws="none",  # type: ignore[arg-type]
            backlog=_ACCEPTED_AT_ONCE, timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            timeout_keep_alive=math.ceil(connections.limits.idle_seconds),
        )  # fmt: skip
        super().__init__(config)
        self._app = app
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `on_started`. Who reads a greeting may press Ctrl-C at once: signals are handled by then."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_PENDING)  # asyncio takes one number for what waits and for what it accepts at once
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down."""
        self._app.cache.closing = True
        await super().shutdown(sockets)


def _given_token(options: ServeOptions) -> str | None:
    """Return the user's token; raise `UsageError` if it is unfit or may not be left out."""
    token, source = _read_token(options.token_file)
    if options.no_token and token is not None:
        raise UsageError(f"--no-token and a token exclude each other: leave one out (see --token-file and {VARIABLE}).")
    if options.no_token and not is_loopback(options.host):
        raise UsageError(
            f"--host {options.host} can be reached from other machines, so it needs a token: leave out --no-token, "
            "or serve on 127.0.0.1 and connect through an SSH tunnel."
        )
    if token is not None and (
        len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token
    ):
        raise UsageError(
            f"The token in {source} has {len(token)} characters. Give at least {MIN_TOKEN_LENGTH} ASCII letters, "
            "digits and signs, without spaces, or leave it out to have a token made."
        )
    return token


def _read_token(file: Path | None) -> tuple[str | None, str]:
    """Return the token in a file or else in the environment, and where it was looked for."""
    if file is None:
        return os.environ.get(VARIABLE), VARIABLE
    try:
        return file.read_text("utf-8").strip(), f"--token-file {file}"
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {file} cannot be read: {error}.") from error


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address of this machine; raise `UsageError` if it is not available."""
    numeric = "127.0.0.1" if host == "localhost" else host
    try:
        addresses = socket.getaddrinfo(numeric, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = addresses[0]
        with ExitStack() as on_error:
            # The protocol is needed: asyncio delays small responses by 40 ms unless the socket is known to be TCP.
            listener = on_error.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()  # before the address is printed, so that clients can connect at once
            on_error.pop_all()
    except OSError as error:
        raise UsageError(f"{host}, port {port}: {_reason(error)}") from error
    return listener


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address. Give --host an address of this machine, such as 127.0.0.1."
    if error.errno == errno.EADDRINUSE:
        return "another program listens there. Stop it, or give another --port; 0 selects a free port."
    if error.errno == errno.EACCES:
        return "you are not allowed to listen there. Give a --port of at least 1024."
    return f"{error.strerror}. Give another --host or --port."


def _own_hosts(host: str) -> set[str]:
    """Return the names and addresses under which clients reach a server that listens on `host`."""
    if host not in _ALL_ADDRESSES:
        return {*_LOOPBACK, host}
    interfaces = [address for found in psutil.net_if_addrs().values() for address in found]
    addresses = {a.address.partition("%")[0] for a in interfaces if a.family in {socket.AF_INET, socket.AF_INET6}}
    return {*_LOOPBACK, *addresses, socket.gethostname(), socket.getfqdn()}


def _greeting(options: ServeOptions, port: int, made_token: str | None) -> list[str]:
    host = socket.gethostname() if options.host in _ALL_ADDRESSES else options.host
    name = f"[{host}]" if ":" in host else host
    access = "Notes can be written and studies deleted." if options.allow_write else "The server is read-only."
    lines = [f"Campaigns: http://{name}:{port}/", f"{access} Press Ctrl-C to stop."]
    if made_token is not None:
        lines.insert(1, f"Token: {made_token} (made for this start; give your own by --token-file or {VARIABLE})")
    return lines
