"""Event streams, and the `coarsefine serve` command."""

import asyncio
import re
import signal
import socket
import sys
import threading
import time

import httpx
import psutil
import pytest
from campaigns import write_campaign
from processes import start, suspended, wait_until
from serving import command, events, serving
from stored import epochs_recorded

from coarsefine import Campaign, Interrupted, Status, run
from coarsefine.search import cli
from coarsefine.search.server import snapshot_cache
from coarsefine.search.server.snapshot_cache import SnapshotCache
from coarsefine.search.server.snapshots import Snapshot, SnapshotReader

API = "/api/v1/campaigns/small"


@pytest.fixture
def started_folder(tmp_path):
    """Start a campaign that takes some seconds and stop it at once; return its folder."""
    write_campaign(tmp_path, model={"hidden": 200, "epochs": 80, "batch": 10})
    with pytest.raises(Interrupted):
        run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db", stop=lambda: True)
    return tmp_path


def epochs_in(payload):
    """Return the number of recorded epochs in an event's payload."""
    return sum(stage["epochs_recorded"] for stage in payload["stages"])


def recorded_more(count, folder, runner):
    """Return whether a run has recorded more epochs; then it is suspended."""
    return epochs_recorded(folder) > count and suspended([runner], folder / "studies.db")


def test_events_follow_workers_of_other_processes(started_folder):
    """A stream sends an event at once, then at most one a second while another process trains, and a last one."""
    with serving(started_folder / "studies.db") as client:
        stream = events(client, f"{API}/events")
        received, times = [next(stream)], [time.monotonic()]
        assert received[0]["state"] == "interrupted"
        process = start(started_folder)
        runner = psutil.Process(process.pid)

        def receive():
            received.append(next(stream))
            times.append(time.monotonic())

        try:
            for _ in range(3):  # the run waits for the stream, because a fast machine would finish too early
                known = epochs_recorded(started_folder)
                wait_until(lambda known=known: recorded_more(known, started_folder, runner))
                while epochs_in(received[-1]) <= known:
                    receive()
                runner.resume()
            while received[-1]["state"] != "done":
                receive()
        except BaseException:
            process.kill()
            raise
        assert process.wait() == 0
        process.communicate()
        assert received[-1] == client.get(API).json()
    counts = [epochs_in(event) for event in received]
    assert counts == sorted(counts)
    assert len(set(counts)) >= 4
    assert "running" in {event["state"] for event in received}
    assert any(event["stages"][0]["seconds_left"] for event in received if event["state"] == "running")
    revisions = [event["revision"] for event in received]
    assert revisions == sorted(set(revisions))
    assert len(received) <= times[-1] - times[0] + 2


def test_streams_share_one_reader(started_folder, monkeypatch):
    """Twenty streams and as many requests read the storage once a second."""
    calls, read = [], SnapshotReader.read
    monkeypatch.setattr(
        SnapshotReader, "read", lambda self, name: (calls.append(time.monotonic()), read(self, name))[1]
    )
    with serving(started_folder / "studies.db") as client:
        barrier = threading.Barrier(21)

        def listen():
            with httpx.Client(base_url=client.base_url, timeout=240) as own:
                stream = events(own, f"{API}/events")
                next(stream)
                barrier.wait(240)
                own.get(API).raise_for_status()
                stream.close()

        listeners = [threading.Thread(target=listen) for _ in range(20)]
        for listener in listeners:
            listener.start()
        barrier.wait(240)
        for listener in listeners:
            listener.join(240)
    assert len(calls) <= calls[-1] - calls[0] + 2


def test_killed_worker_is_noticed(started_folder):
    """After the only worker is killed, the campaign's state becomes interrupted."""
    with serving(started_folder / "studies.db") as client:
        known = epochs_recorded(started_folder)
        process = start(started_folder)
        runner = psutil.Process(process.pid)
        wait_until(lambda: recorded_more(known, started_folder, runner))
        wait_until(lambda: client.get(API).json()["state"] == "running")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        wait_until(lambda: client.get(API).json()["state"] == "interrupted")
        assert all(stage["seconds_left"] in {None, 0.0} for stage in client.get(API).json()["stages"])


def test_ctrl_c_ends_the_server_with_open_streams(searched):
    """Ctrl-C ends the server with exit code 0, even if a stream is open."""
    with command("--port", "0", cwd=searched) as (process, stderr):
        address = re.search(r"http://127\.0\.0\.1:\d+", stderr)[0]
        with httpx.stream("GET", f"{address}{API}/events") as response:
            next(response.iter_lines())
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_ctrl_c_right_after_the_greeting_ends_the_server(searched):
    """Ctrl-C as soon as the greeting is there ends the server with exit code 0 and without a message."""
    with command("--port", "0", cwd=searched) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_public_address_requires_a_new_token(searched):
    """On a public address, the server prints a new token once and requires it."""
    with command("--host", "0.0.0.0", "--port", "0", cwd=searched) as (_, stderr):  # noqa: S104
        port, token = re.search(r":(\d+)/", stderr)[1], re.search(r"Token: (\S+)", stderr)[1]
        assert stderr.count(token) == 1
        address = f"http://127.0.0.1:{port}{API}"
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.fixture
def failing_serve(searched, tmp_path, monkeypatch, capsys):
    """Return a function that runs a failing `coarsefine serve` and returns its exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("k" * 40)

    def run_command(*arguments):
        storage = [] if "--storage" in arguments else ["--storage", str(searched / "studies.db")]
        monkeypatch.setattr(sys, "argv", ["coarsefine", "serve", "--port", "0", *storage, *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr().err

    return run_command


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "message"),
    [
        (["--host", "0.0.0.0", "--no-token"], {}, 2, "so it needs a token"),  # noqa: S104
        (["--host", "0.0.0.0"], {"COARSEFINE_TOKEN": ""}, 2, "at least 16"),  # noqa: S104
        ([], {"COARSEFINE_TOKEN": "short"}, 2, "at least 16"),
        (["--no-token"], {"COARSEFINE_TOKEN": "x" * 40}, 2, "exclude each other"),
        (["--token-file", "nothing"], {}, 2, "--token-file nothing cannot be read"),
        (["--host", "203.0.113.7", "--token-file", "token"], {}, 2, "no such address"),
        (["--host", "no.such.host.invalid", "--token-file", "token"], {}, 2, "no such address"),
        (["--storage", "nothing.db"], {}, 5, "There is no"),
        (["--storage", "token"], {}, 5, "is not a SQLite file"),
        (["--storage", "postgresql+psycopg://u:hidden-word@127.0.0.1:1/db"], {}, 5, "127.0.0.1"),
    ],
)
def test_failure_to_serve_is_one_sentence(failing_serve, monkeypatch, arguments, environment, code, message):
    """A missing token, address or storage is an error in one sentence without secrets."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    exit_code, stderr = failing_serve(*arguments)
    assert (exit_code, stderr.count("\n")) == (code, 1)
    assert message in stderr
    assert "hidden-word" not in stderr


def test_port_in_use_is_named(failing_serve):
    """The error names a port that another program uses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        exit_code, stderr = failing_serve("--port", port)
    assert exit_code == 2
    assert f"port {port}: another program listens there" in stderr


class Clock:
    """A clock that shows the seconds that the test says; it takes the place of the module `time`."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def thread_time(self):
        return self.now


class SlowReader:
    """A reader whose snapshots take a while and differ each time."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.reads = clock, seconds, 0

    def read(self, name):
        self.reads += 1
        self.clock.now += self.seconds
        return Snapshot(self.reads, Status(name, "", "running", 0.0, (), None, None, None, ()), {}, {}, ())


@pytest.mark.parametrize(("seconds", "reads"), [(0.0, 3), (0.4, 1)])
def test_slow_snapshots_are_read_less_often(monkeypatch, seconds, reads):
    """In two and a half seconds, a fast snapshot is read each second and a slow one once."""
    clock = Clock()
    monkeypatch.setattr(snapshot_cache, "time", clock)
    reader = SlowReader(clock, seconds)

    async def request_snapshots():
        cache = SnapshotCache(reader)
        while clock.now < 2.5:
            await cache.get("small")
            clock.now += 0.01

    asyncio.run(request_snapshots())
    assert reader.reads == reads
