"""Start the server and the workers under measurement, by the commands that a user would type."""

import os
import re
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil

TOKEN = "the-token-of-the-measurement"  # noqa: S105 - the server lives for seconds


@contextmanager
def server(storage: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Start `coarsefine serve`; yield its port and process, ready to answer."""
    command = [sys.executable, "-m", "coarsefine", "serve", "--storage", str(storage), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None  # noqa: S101
            line = process.stderr.readline()
            found = re.search(r":(\d+)/", line)
            if found is None:
                raise SystemExit(f"The server did not start: {line}{process.stderr.read()}")
            yield int(found[1]), psutil.Process(process.pid)
        finally:
            process.terminate()


@contextmanager
def guarded_server(storage: Path, descriptors: int, log: Path) -> Iterator[int]:
    """Start `coarsefine serve` with a token, at most so many descriptors, and a log; yield its port."""
    command = [sys.executable, "-m", "coarsefine", "serve", "--storage", str(storage), "--port", "0"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    with log.open("w", encoding="utf-8") as stderr:
        environment = os.environ | {"COARSEFINE_TOKEN": TOKEN}
        process = subprocess.Popen(command, stderr=stderr, env=environment, preexec_fn=limit)  # noqa: PLW1509
    try:
        deadline = time.monotonic() + 120
        while (found := re.search(r":(\d+)/\n.*stop\.", log.read_text("utf-8"))) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The server did not start: {log.read_text('utf-8')}")
            time.sleep(0.1)
        yield int(found[1])
    finally:
        process.terminate()
        process.wait()


@contextmanager
def workers(storage: Path, campaign: str, count: int) -> Iterator[None]:
    """Run `n` processes of `coarsefine worker` within the context."""
    command = [sys.executable, "-m", "coarsefine", "worker", campaign, "--storage", str(storage)]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        deadline = time.monotonic() + 120
        before = epochs(storage)
        while epochs(storage) == before:
            if time.monotonic() > deadline or any(process.poll() is not None for process in started):
                raise SystemExit("The workers do not train.")
            time.sleep(0.2)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def epochs(storage: Path) -> int:
    """Return how many epochs of trials have been recorded."""
    with closing(sqlite3.connect(storage, timeout=60)) as connection:
        counted: int = connection.execute("SELECT count(*) FROM trial_intermediate_values").fetchone()[0]
        return counted
