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
from coarsefine.search.server.snapshot_cache import SnapshotCache
from coarsefine.search.server.snapshots import Snapshot, SnapshotReader

API = "/api/v1/campaigns/small"


@pytest.fixture
def begun(tmp_path):
    """A folder with a campaign that takes some seconds, begun and not yet trained."""
    write_campaign(tmp_path, model={"epochs": 80})
    with pytest.raises(Interrupted):
        run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db", stop=lambda: True)
    return tmp_path


def recorded(told):
    """Return how many epochs of trials an event tells of."""
    return sum(stage["epochs_recorded"] for stage in told["stages"])


def test_events_follow_workers_of_other_processes(begun):
    """A stream begins at once, grows with what a run elsewhere records, at most once a second, and comes to its end."""
    with serving(begun / "studies.db") as client:
        stream = events(client, f"{API}/events")
        heard, times = [next(stream)], [time.monotonic()]
        assert heard[0]["state"] == "interrupted"
        process = start(begun)
        runner = psutil.Process(process.pid)

        def hear():
            heard.append(next(stream))
            times.append(time.monotonic())

        def recorded_more(than):
            return epochs_recorded(begun) > than and suspended([runner], begun / "studies.db")

        try:
            for _ in range(
                3
            ):  # it waits for the stream: a fast machine would be through before that has grown so often
                known = epochs_recorded(begun)
                wait_until(lambda known=known: recorded_more(known))
                while recorded(heard[-1]) <= known:
                    hear()
                runner.resume()
            while heard[-1]["state"] != "done":
                hear()
        except BaseException:
            process.kill()
            raise
        assert process.wait() == 0
        process.communicate()
        assert heard[-1] == client.get(API).json()
    grown = [recorded(told) for told in heard]
    assert grown == sorted(grown)
    assert len(set(grown)) >= 4
    assert "running" in {told["state"] for told in heard}
    assert any(told["stages"][0]["seconds_left"] for told in heard if told["state"] == "running")
    revisions = [told["revision"] for told in heard]
    assert revisions == sorted(set(revisions))
    assert len(heard) <= times[-1] - times[0] + 2


def test_many_streams_cost_one_reading(begun, monkeypatch):
    """Twenty streams and as many questions read the storage as often as one would: once a second."""
    calls, read = [], SnapshotReader.read
    monkeypatch.setattr(
        SnapshotReader, "read", lambda self, name: (calls.append(time.monotonic()), read(self, name))[1]
    )
    with serving(begun / "studies.db") as client:
        enough = threading.Barrier(21)

        def listen():
            with httpx.Client(base_url=client.base_url, timeout=240) as own:
                stream = events(own, f"{API}/events")
                next(stream)
                enough.wait(240)
                own.get(API).raise_for_status()
                stream.close()

        listeners = [threading.Thread(target=listen) for _ in range(20)]
        for listener in listeners:
            listener.start()
        enough.wait(240)
        for listener in listeners:
            listener.join(240)
    assert len(calls) <= calls[-1] - calls[0] + 2


def test_a_killed_worker_is_noticed(begun):
    """Nothing is written when a worker is killed, and yet the campaign is no longer told as running."""
    with serving(begun / "studies.db") as client:
        process = start(begun)
        wait_until(lambda: client.get(API).json()["state"] == "running")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        wait_until(lambda: client.get(API).json()["state"] == "interrupted")
        assert all(stage["seconds_left"] in {None, 0.0} for stage in client.get(API).json()["stages"])


def test_ctrl_c_ends_the_server_though_streams_are_open(searched):
    """The address that is printed answers; Ctrl-C ends the server with code 0 within seconds, streams and all."""
    with command("--port", "0", cwd=searched) as (process, said):
        address = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        stream = httpx.stream("GET", f"{address}{API}/events")
        with stream as answer:
            next(answer.iter_lines())
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_elsewhere_it_makes_a_token_and_wants_it(searched):
    """On an address that others reach, a token is made and printed once; only with it the server answers."""
    with command("--host", "0.0.0.0", "--port", "0", cwd=searched) as (_, said):  # noqa: S104
        port, token = re.search(r":(\d+)/", said)[1], re.search(r"Token: (\S+)", said)[1]
        assert said.count(token) == 1
        address = f"http://127.0.0.1:{port}{API}"
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.fixture
def ended(searched, tmp_path, monkeypatch, capsys):
    """Return a function that runs `coarsefine serve` where it cannot serve: its exit code, and what it said."""
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
    ("arguments", "environment", "code", "told"),
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
def test_what_cannot_be_served_is_told_in_a_sentence(ended, monkeypatch, arguments, environment, code, told):
    """A missing token, address or storage ends the command with one sentence, which names no secret, and its code."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    exit_code, said = ended(*arguments)
    assert (exit_code, said.count("\n")) == (code, 1)
    assert told in said
    assert "hidden-word" not in said


def test_a_port_in_use_is_told(ended):
    """A port that another program listens on is named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        exit_code, said = ended("--port", port)
    assert exit_code == 2
    assert f"port {port}: another program listens there" in said


class Slow:
    """Campaigns that take a while to read, and change each time."""

    def __init__(self, seconds):
        self.seconds, self.reads = seconds, 0

    def read(self, name):
        self.reads += 1
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        return Snapshot(self.reads, Status(name, "", "running", 0.0, (), None, None, None, ()), {}, {}, ())


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 4), (0.4, 1)])
def test_what_is_dear_to_read_is_read_less_often(seconds, most):
    """Looked at for two and a half seconds, a small campaign is read each second; one that takes long, once."""
    slow = Slow(seconds)

    async def look():
        cache = SnapshotCache(slow)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            await cache.get("small")
            await asyncio.sleep(0.01)

    asyncio.run(look())
    assert 1 <= slow.reads <= most
    assert slow.reads >= 2 or seconds
