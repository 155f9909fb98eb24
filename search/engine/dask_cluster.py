"""Workers on a Dask cluster: the walk that a worker process on this machine does, submitted to other machines.

Dask brings the launchers (SSH, SLURM, Kubernetes) and moves a worker's task elsewhere when the worker dies. It does not
promise to run anything once; the leases of the queue do.
"""

import time
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psutil

from coarsefine.search.engine.pool_worker import Ended, Task, take_part
from coarsefine.search.errors import UsageError, WorkersFailed
from coarsefine.search.results.observer import Observer

SCHEME = "dask://"
_ANSWER_SECONDS = 10
_STOP_SECONDS = 0.5
"""How often a worker asks whether it is to stop: each question goes to the scheduler."""
_MOST_LOSSES = 3
"""Dask gives a task up after its worker died four times; it is handed in anew so often."""


class Cluster:
    """Keeps a task's workers at it on a Dask cluster while entered; leaving it tells them to stop."""

    def __init__(self, task: Task, engine: str, observer: Observer) -> None:
        self._task, self._address, self._observer = task, address_of(engine), observer
        self._stop_name = f"coarsefine-stop-{uuid.uuid4().hex}"
        self._futures: set[Future[Ended]] = set()
        self._losses = 0

    def __enter__(self) -> Self:
        self._client = _connected(self._address)
        try:
            _check_reach(self._client, self._task)
            self._executor: Executor = self._client.get_executor(pure=False)
            self._stop = _event(self._stop_name, self._client)
            self._futures = {self._submit() for _ in range(self._task.workers)}
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have the workers finish their epoch, unless even that was interrupted."""
        try:
            self._stop.set()
            if kind is None or not issubclass(kind, KeyboardInterrupt):
                wait(self._futures)
        finally:
            self._client.close()

    def wait(self, seconds: float) -> None:
        """Wait until a worker ends, at most so long; hand in anew what Dask gave up.

        Raises the error a worker ended with, or `WorkersFailed` where Dask loses worker after worker.
        """
        if not self._futures:
            time.sleep(seconds)
            return
        for future in wait(self._futures, seconds, "FIRST_COMPLETED").done:
            self._futures.remove(future)
            self._hear(future)

    def _hear(self, future: Future[Ended]) -> None:
        from distributed import KilledWorker  # noqa: PLC0415 - an extra

        try:
            ended = future.result()
        except KilledWorker as error:
            self._losses += 1
            if self._losses > _MOST_LOSSES:
                raise WorkersFailed(f"The Dask cluster loses its workers again and again ({error}).", 1) from error
            self._observer.on_message(
                "The Dask cluster lost several workers: their slots go back, and another takes over."
            )
            self._futures.add(self._submit())
            return
        except Exception as error:  # whatever a node raises, such as ModuleNotFoundError where it lacks Coarsefine
            raise WorkersFailed(
                f"A worker of the Dask cluster failed: {error!r}. See the cluster's logs.", 1
            ) from error
        if ended.exit_code:
            raise WorkersFailed(ended.told, ended.exit_code)

    def _submit(self) -> "Future[Ended]":
        return self._executor.submit(_work_on_node, self._task, self._stop_name)


def address_of(engine: str) -> str:
    """Return the scheduler's address; raise `UsageError` for anything but `dask://HOST:PORT`."""
    host, _, port = engine.removeprefix(SCHEME).rpartition(":")
    if not engine.startswith(SCHEME) or not host or not port.isdigit():
        raise UsageError(f"--engine {engine} is no engine: give dask://HOST:PORT, the address of a Dask scheduler.")
    return f"tcp://{host}:{port}"


def count_workers(engine: str) -> int:
    """Return how many workers a cluster has; raise `UsageError` where none answers."""
    with _connected(address_of(engine)) as client:
        return len(_workers(client))


def _connected(address: str) -> Any:
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("--engine dask:// needs Dask: pip install 'coarsefine[distributed]'.") from error
    try:
        return Client(address, timeout=_ANSWER_SECONDS, set_as_default=False)
    except OSError as error:  # its time-out is one too
        raise UsageError(f"No Dask scheduler answers at {address}: start one with `dask scheduler`.") from error


def _workers(client: Any) -> Collection[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    if not found:
        raise UsageError("The Dask cluster has no worker yet: start some with `dask worker`.")
    return found.values()


def _check_reach(client: Any, task: Task) -> None:
    """Refuse a SQLite file for workers on other machines, which it cannot serve."""
    if task.storage.kind != "sqlite":
        return
    here = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    elsewhere = {str(worker["host"]) for worker in _workers(client)} - here
    if elsewhere:
        raise UsageError(
            f"The Dask cluster has workers on other machines ({', '.join(sorted(elsewhere))}), which a SQLite file "
            "cannot serve: give --storage postgresql+psycopg://HOST/DATABASE."
        )


def _event(name: str, client: Any) -> Any:
    from distributed import Event  # noqa: PLC0415 - an extra

    return Event(name, client=client)


def _work_on_node(task: Task, stop_name: str) -> Ended:
    """Be a worker, within one of Dask's."""
    from distributed import get_client  # noqa: PLC0415 - an extra

    return take_part(task, Observer(), _Asking(_event(stop_name, get_client())))


@dataclass(slots=True)
class _Asking:
    """Tells whether to stop; asks the scheduler now and then."""

    event: Any
    clock: Callable[[], float] = time.monotonic
    _asked: float = field(default=float("-inf"))
    _answer: bool = False

    def __call__(self) -> bool:
        if self.clock() >= self._asked + _STOP_SECONDS:
            self._asked, self._answer = self.clock(), self.event.is_set()
        return self._answer
