"""Measure whether strangers keep the token's owner out: connections that send nothing, or half a request, for ever."""

import asyncio
import multiprocessing
import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loads.processes import TOKEN, guarded_server

_HALF = b"GET /api/v1/campaigns HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_PAUSE_SECONDS = 0.05
"""Between two requests of the owner."""
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Siege:
    """The number of strangers, and the descriptors that the server may have."""

    strangers: int
    descriptors: int


def measure_strangers(storage: Path, siege: Siege, seconds: float) -> dict[str, Any]:
    """Return how long the owner waited for answers, and what the server logged, while strangers held connections."""
    _raise_own_limit(2 * siege.strangers + 256)
    log = storage.with_name(f"strangers-{siege.descriptors}.log")
    with guarded_server(storage, siege.descriptors, log) as port:
        asyncio.run(_ask(port))  # the first answer of a server imports what it needs
        with _besieging(port, siege.strangers) as opened:
            answers, errors = asyncio.run(_own(port, seconds))
            connections = opened.value
    lines = len(log.read_text("utf-8").splitlines())
    return {
        "strangers": siege.strangers, "descriptors": siege.descriptors, "connections": connections,
        "answers": answers, "errors": errors, "log_lines": lines, "log_bytes": log.stat().st_size,
    }  # fmt: skip


def _raise_own_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


@contextmanager
def _besieging(port: int, strangers: int) -> Iterator[Any]:
    """Let strangers hold connections from another process, so that they do not delay the owner; yield their count."""
    context = multiprocessing.get_context("spawn")
    opened = context.Value("i", 0)
    process = context.Process(target=_besiege, args=(port, strangers, opened), daemon=True)
    process.start()
    try:
        while opened.value < strangers:
            if not process.is_alive():
                raise SystemExit("The strangers have ended.")
            time.sleep(_PAUSE_SECONDS)
        yield opened
    finally:
        process.kill()
        process.join()


def _besiege(port: int, strangers: int, opened: Any) -> None:
    async def intrude_all() -> None:
        await asyncio.gather(*(_intrude(port, _HALF if n % 2 else b"", opened) for n in range(strangers)))

    asyncio.run(intrude_all())


async def _intrude(port: int, sent: bytes, opened: Any) -> None:
    """Hold a connection open, and another one a while after it was closed."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.value += 1
            try:
                writer.write(sent)
                await reader.read()
            finally:
                writer.close()
        await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311


async def _own(port: int, seconds: float) -> tuple[list[float], list[str]]:
    """Ask again and again; return the seconds of each answer, and errors."""
    answers: list[float] = []
    errors: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        try:
            await asyncio.wait_for(_ask(port), _PATIENCE_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            errors.append(f"the owner: {error!r}")
        answers.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE_SECONDS)
    return answers, errors


async def _ask(port: int) -> None:
    """Ask for the list of campaigns with the token, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET /api/v1/campaigns HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ValueError(answer[:40])
