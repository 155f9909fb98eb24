"""Serve a storage for the tests: the real server, in a thread, on a free port of 127.0.0.1."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx

from coarsefine.search.server import AccessPolicy, Application
from coarsefine.search.server.access import host_headers
from coarsefine.search.server.serve import Server, listen
from coarsefine.search.storage.location import locate

TOKEN = "a-token-that-is-long-enough"  # noqa: S105 - the server lives for seconds


@contextmanager
def serving(storage, port=0, limits=None, **policy):
    """Serve a storage; yield a client for it, with the attributes `app` and `server`."""
    listener = listen("127.0.0.1", port)
    port = listener.getsockname()[1]
    app = Application(locate(storage), AccessPolicy(host_headers(["127.0.0.1", "localhost"], port), **policy))
    server = Server(app, limits=limits)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=240, trust_env=False) as client:
            client.app, client.server = app, server
            yield client
    finally:
        server.should_exit = True
        thread.join(240)
        listener.close()
    assert not thread.is_alive()


def events(client, path, **options):
    """Yield the payloads of a stream's events as they arrive."""
    with client.stream("GET", path, **options) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


@contextmanager
def command(*arguments, cwd, env=None):
    """Run `coarsefine serve` as a user does; yield the process and its output once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "coarsefine", "serve", *arguments],
        cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    output = ""
    while "Ctrl-C" not in output and (line := process.stderr.readline()):
        output += line
    try:
        yield process, output
    finally:
        process.kill()
        process.communicate()
