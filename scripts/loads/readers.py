"""Many readers in one lightweight process, so that the server is measured and not the readers."""

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

STATUS = "/api/v1/campaigns/{name}"
PAGE = (
    "/campaigns/{name}",
    STATUS,
    f"{STATUS}/figures/map?theme=light",
    f"{STATUS}/figures/best-so-far?theme=light",
    f"{STATUS}/figures/losses?theme=light",
    f"{STATUS}/stages/{{stage}}/trials?offset=0&limit=50",
)
"""The requests of the campaign's page: the page itself and its data."""
_OK = b"HTTP/1.1 200"
_LIMIT = 2**24


@dataclass
class Seen:
    """The readers' measurements."""

    pages: list[float] = field(default_factory=list)
    """Seconds until all data of a page arrived, with one request after the other."""
    answers: list[float] = field(default_factory=list)
    """Seconds of each response."""
    events: int = 0
    bytes: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Crowd:
    """The number and kind of readers."""

    readers: int
    streams: int
    seconds: float
    pause: float
    """Mean seconds between two page loads of a reader."""


async def look(port: int, name: str, stage: str, crowd: Crowd, seen: Seen) -> None:
    """Let all readers read a campaign's page and its events."""
    until = time.monotonic() + crowd.seconds
    paths = _paths(name, stage)
    work = [_read(port, paths, until, crowd.pause, random.Random(n), seen) for n in range(crowd.readers)]  # noqa: S311
    work += [_listen(port, STATUS.format(name=name) + "/events", until, seen) for _ in range(crowd.streams)]
    await asyncio.gather(*work)


async def look_once(port: int, name: str, stage: str, seen: Seen) -> None:
    """Let one reader read a campaign's page once."""
    await _read(port, _paths(name, stage), 0.0, 0.0, random.Random(0), seen)  # noqa: S311


def _paths(name: str, stage: str) -> list[str]:
    return [path.format(name=name, stage=stage) for path in PAGE]


async def _read(port: int, paths: Iterable[str], until: float, pause: float, drawn: random.Random, seen: Seen) -> None:
    await asyncio.sleep(drawn.uniform(0, pause))  # so that readers are not synchronized
    try:
        while True:
            began = time.perf_counter()
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
            for path in paths:
                await _ask(reader, writer, port, path, seen)
            seen.pages.append(time.perf_counter() - began)
            writer.close()
            wait = pause * drawn.uniform(0.5, 1.5)
            if time.monotonic() + wait >= until:
                break
            await asyncio.sleep(wait)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        seen.errors.append(repr(error))


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, path: str, seen: Seen) -> None:
    began = time.perf_counter()
    head = await _send(reader, writer, port, path)
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    body = await reader.readexactly(int(length.partition(b":")[2]))
    seen.answers.append(time.perf_counter() - began)
    seen.bytes += len(body)


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, path: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(_OK):
        raise ValueError(f"{path}: {head.splitlines()[0].decode()}")
    return head


async def _listen(port: int, path: str, until: float, seen: Seen) -> None:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
        await _send(reader, writer, port, path)
        while (left := until - time.monotonic()) > 0:
            try:
                line = await asyncio.wait_for(reader.readline(), left)
            except TimeoutError:
                break
            if not line:
                seen.errors.append(f"{path}: the stream ended")
                break
            seen.events += line.startswith(b"data:")
        writer.close()
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        seen.errors.append(repr(error))
