"""Child processes, each pinned to a core, with one thread unless a contender starts its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
}
CAN_PIN = hasattr(os, "sched_setaffinity")


def cores() -> list[int]:
    """Return the cores this process may use."""
    if CAN_PIN:
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


Place = int | tuple[int, ...]
"""The core of a process, or its cores."""


@contextmanager
def pinned(core: Place) -> Iterator[None]:
    """Run on one core, or some, if the system allows it; processes started within the context stay there."""
    if not CAN_PIN:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core} if isinstance(core, int) else core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(arguments: Sequence[str], core: Place, kernel: str | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start `python -m` with these arguments on a core; `kernel` forces Coarsefine's."""
    folder = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    forced = {"COARSEFINE_KERNEL": kernel} if kernel else {}
    environment = {**os.environ, **ONE_THREAD, **forced, "PYTHONPATH": path}
    with pinned(core):
        return subprocess.Popen([sys.executable, "-m", *arguments], env=environment, text=True, **options)


class ContenderError(Exception):
    """A contender failed to answer a request; the message is its own."""


class Child:
    """A contender in its own process."""

    def __init__(self, core: Place, **spec: Any) -> None:
        self._process = start(
            ["benchmarks.child"], core, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.send("build", **spec)
        try:
            self.receive()
        except ContenderError:
            self.close()
            raise

    def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer."""
        self.send(method, **arguments)
        return self.receive()

    def send(self, method: str, **arguments: Any) -> None:
        """Send a request without waiting, so that several contenders can work at once."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(json.dumps({"method": method, **arguments}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for an answer; raise `ContenderError` for an error, or a process that died."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            raise ContenderError(f"its process ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process by closing its stdin."""
        self._process.communicate()


class Group:
    """Contenders that work at the same time, one per core or set of cores. A single contender is a group of one."""

    def __init__(self, on: Sequence[Place], **spec: Any) -> None:
        self._children: list[Child] = []
        try:
            for core in on:
                self._children.append(Child(core, **spec))
        except ContenderError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, method: str, **arguments: Any) -> list[dict[str, Any]]:
        """Ask all contenders at once, and return their answers."""
        for child in self._children:
            child.send(method, **arguments)
        return [child.receive() for child in self._children]

    def close(self) -> None:
        """End all processes."""
        for child in self._children:
            child.close()
