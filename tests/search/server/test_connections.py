"""Limits on connections: strangers who send nothing, half a request, slowly or too much do not stop the server."""

import logging
import socket
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

import httpx
import pytest
from processes import wait_until
from serving import TOKEN, serving

from coarsefine.search.server.connections import Limits, network_of, raise_descriptor_limit
from coarsefine.search.server.log import RepeatFilter

OWNER = {"Authorization": f"Bearer {TOKEN}"}
HALF = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1"
PATIENT = Limits(connections=40, per_address=8, head_seconds=120, body_seconds=120, idle_seconds=120, stall_seconds=120)
HASTY = Limits(head_seconds=0.2, body_seconds=0.2, idle_seconds=0.2, stall_seconds=0.2)


@pytest.fixture(scope="module")
def patient(searched):
    """Return a client of a server with a token and few connections, which waits long for the rest of a request."""
    with serving(searched / "studies.db", limits=PATIENT, token=TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def hasty(searched):
    """Return a client of a server with a token and short deadlines."""
    with serving(searched / "studies.db", limits=HASTY, token=TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def stalling(searched):
    """Return a client of a server with a short deadline for readers only."""
    with serving(searched / "studies.db", limits=replace(PATIENT, stall_seconds=0.2), token=TOKEN) as client:
        yield client


def connect(client, sent=b"", **options):
    """Return a connection to a server on which something was sent."""
    found = socket.create_connection(("127.0.0.1", client.base_url.port), timeout=60, **options)
    found.sendall(sent.replace(b"127.0.0.1", b"127.0.0.1:%d" % client.base_url.port))
    return found


def is_closed(connection):
    """Return whether the server has closed a connection, of which everything that was sent is read."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def read_to_end(connection):
    """Read until the server closes the connection; return what was read."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half a request"])
def test_owner_is_served_beside_many_strangers(patient, sent):
    """Of more strangers than there may be, the oldest are disconnected, and whoever has the token is answered."""
    with ExitStack() as stack:
        strangers = [stack.enter_context(connect(patient, sent)) for _ in range(3 * PATIENT.per_address)]
        wait_until(lambda: is_closed(strangers[0]))
        with httpx.Client(base_url=patient.base_url, headers=OWNER, trust_env=False) as owner:
            assert owner.get("/api/v1/campaigns").status_code == 200
            wait_until(lambda: sum(not is_closed(stranger) for stranger in strangers) < PATIENT.per_address)
        assert not is_closed(strangers[-1])


def test_owner_keeps_the_connection(patient):
    """A connection on which the token was shown is not closed for strangers, an event stream neither."""
    with ExitStack() as stack:
        owner = stack.enter_context(httpx.Client(base_url=patient.base_url, headers=OWNER, trust_env=False))
        stream = stack.enter_context(owner.stream("GET", "/api/v1/campaigns/small/events"))
        lines = stream.iter_lines()
        next(lines)
        idle = connect(patient, b"GET /assets/icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        known = connect(patient, f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        for connection in (idle, known):
            stack.enter_context(closing(connection))
            connection.recv(65536)
        wait_until(lambda: sum(other.is_waiting for other in patient.server.connections.all) == 2)
        strangers = [stack.enter_context(connect(patient, HALF)) for _ in range(3 * PATIENT.connections)]
        wait_until(lambda: is_closed(strangers[0]) and is_closed(idle))
        assert not is_closed(known)
        assert next(lines) == ""


def test_streams_leave_connections_to_requests(patient):
    """Event streams take three quarters of the connections; one more is refused, and requests are answered."""
    with ExitStack() as stack:
        owner = stack.enter_context(httpx.Client(
            base_url=patient.base_url, headers=OWNER, trust_env=False, limits=httpx.Limits(max_connections=None)
        ))  # fmt: skip
        path = "/api/v1/campaigns/small/events"
        streams = [stack.enter_context(owner.stream("GET", path)).iter_lines() for _ in range(PATIENT.streams)]
        assert {next(stream) for stream in streams} == {"retry: 2000"}
        refused = owner.get(path)
        assert (refused.status_code, "too many" in refused.text.lower()) == (503, True)
        assert owner.get("/api/v1/campaigns/small").status_code == 200
    wait_until(lambda: patient.app.cache.streams == 0)


SLOW_BODY = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "trickle"),
    [
        (b"", b""),
        (HALF, b"x"),
        (SLOW_BODY, b"x"),
        (SLOW_BODY.replace(b"/login", b"/api/studies"), b"x"),  # refused before its body has come
        (b"GET /assets/icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET / HTTP/1.1\r\n", b"x"),
        (b"GET /assets/icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b""),
    ],
    ids=["nothing", "half a request", "half a body", "half a refused body", "half a further request", "idle"],
)
def test_slow_senders_are_disconnected(hasty, caplog, sent, trickle):
    """A client that does not send a whole request in time is disconnected, even if it sends a byte now and then."""
    with connect(hasty, sent) as connection:
        began = time.monotonic()
        connection.settimeout(0.05)
        while True:
            try:
                try:
                    if not connection.recv(65536):
                        break
                except TimeoutError:
                    connection.send(trickle)
            except ConnectionError:
                break
            assert time.monotonic() - began < 60
    assert caplog.records == []


def test_slow_readers_are_disconnected(stalling):
    """A client that does not read a large file is disconnected."""
    request = b"GET /assets/plotly.min.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", stalling.base_url.port))
        connection.sendall(request.replace(b"127.0.0.1", b"127.0.0.1:%d" % stalling.base_url.port))
        with suppress(ConnectionError):  # a busy machine may have been too slow already
            assert connection.recv(1) == b"H"
        connections = stalling.server.connections
        wait_until(lambda: not any(other.client == connection.getsockname() for other in connections.all))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + b"x" * 300_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 50_000,
        b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"zz\r\n" * 9,
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["TLS", "huge cookie", "headers without end", "damaged chunk", "upgrade", "half a form"],
)
def test_what_is_no_request_is_refused_without_a_log(hasty, caplog, sent):
    """Nothing that strangers send is an error of the server."""
    with connect(hasty) as connection:
        try:
            connection.sendall(sent)
        except ConnectionError:  # it is refused before all of it is sent
            return
        assert b" 200 " not in read_to_end(connection)
    assert caplog.records == []


def test_damaged_body_after_the_response_is_no_error(patient, caplog):
    """A body that turns out to be no HTTP after its request was refused closes the connection, without a traceback."""
    head = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(patient, head) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")
        with suppress(ConnectionError):  # the server may close it after its response
            connection.sendall(b"zz\r\n")
        read_to_end(connection)
    assert caplog.records == []


def test_limits_depend_on_descriptors():
    """The limits fit into few descriptors, and do not grow without bound."""
    few, usual, many = map(Limits.of_descriptors, (128, 1024, 1_000_000))
    assert (few.connections, few.strangers, few.per_address) == (32, 16, 16)
    assert (usual.connections, usual.strangers, usual.per_address, usual.streams) == (480, 240, 64, 360)
    assert (many.connections, many.per_address) == (4096, 64)


def test_descriptor_limit_is_raised():
    """The limit on open descriptors is at least what it was."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        assert raise_descriptor_limit() > 256 or before[1] <= 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_addresses_of_one_client_are_one(address, network):
    """The addresses that one client can have count as one."""
    assert network_of(address) == network


def test_repeated_messages_are_left_out():
    """Five messages a minute pass from each place in the code; the next minute says how many did not."""
    now = [0.0]
    repeats = RepeatFilter(lambda: now[0])

    def passed(line, error=None):
        record = logging.LogRecord("x", logging.ERROR, "file.py", line, "at %s", ("x",), (error, None, None))
        return record.getMessage() if repeats.filter(record) else None

    assert [passed(1) for _ in range(7)] == [
        *["at x"] * 4, "at x (More messages like this are left out for a minute.)", None, None
    ]  # fmt: skip
    assert passed(2) == "at x"
    assert passed(1, ValueError) == "at x"
    now[0] = 61.0
    assert passed(1) == "at x (2 more messages like this were left out.)"
    assert passed(1) == "at x"
