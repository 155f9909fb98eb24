"""Workers on a Dask cluster: the task of a worker process, submitted to other machines.

Dask brings the launchers (SSH, SLURM, Kubernetes) and resubmits a task whose worker died. It does not promise to run a
task only once; the leases of the storage ensure that each slot is recorded once.
"""

import time
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psutil

from coarsefine.search.engine.worker_process import Ended, Task, run_task
from coarsefine.search.errors import UsageError, WorkersFailed
from coarsefine.search.results.observer import Observer

_SCHEME = "dask://"
_CONNECT_SECONDS = 10
_STOP_SECONDS = 0.5
"""Between a worker's checks whether to stop: each one asks the scheduler."""
_MOST_LOSSES = 3
"""How often a task is submitted again that Dask gave up, which it does after four of its workers died."""


class DaskWorkers:
    """Keeps a task's workers running on a Dask cluster while entered; stops them on leaving."""

    def __init__(self, task: Task, engine: str, observer: Observer) -> None:
        self._task, self._address, self._observer = task, address_of(engine), observer
        self._stop_name = f"coarsefine-stop-{uuid.uuid4().hex}"
        self._futures: set[Future[Ended]] = set()
        self._losses = 0

    def __enter__(self) -> Self:
        self._client = _connect(self._address)
        try:
            _refuse_remote_sqlite(self._client, self._task)
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
        """Let the workers finish their epoch; on `KeyboardInterrupt`, do not wait for them."""
        try:
            self._stop.set()
            if kind is None or not issubclass(kind, KeyboardInterrupt):
                wait(self._futures)
        finally:
            self._client.close()

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` until a worker ends; submit again what Dask gave up.

        Raises `WorkersFailed` if a worker ended with an error, or if Dask loses worker after worker.
        """
        if not self._futures:
            time.sleep(seconds)
            return
        for future in wait(self._futures, seconds, "FIRST_COMPLETED").done:
            self._futures.remove(future)
            self._handle_end(future)

    def _handle_end(self, future: Future[Ended]) -> None:
        from distributed import KilledWorker  # noqa: PLC0415 - an extra

        try:
            ended = future.result()
        except KilledWorker as error:
            self._submit_again(error)
            return
        except Exception as error:  # whatever a node raises, such as ModuleNotFoundError without Coarsefine
            raise WorkersFailed(
                f"A worker of the Dask cluster failed: {error!r}. See the cluster's logs.", 1
            ) from error
        if ended.exit_code:
            raise WorkersFailed(ended.text, ended.exit_code)

    def _submit_again(self, error: Exception) -> None:
        self._losses += 1
        if self._losses > _MOST_LOSSES:
            raise WorkersFailed(f"The Dask cluster loses its workers again and again ({error}).", 1) from error
        self._observer.on_message(
            "The Dask cluster lost several workers: their trials are released, and another worker takes over."
        )
        self._futures.add(self._submit())

    def _submit(self) -> "Future[Ended]":
        return self._executor.submit(_run_on_node, self._task, self._stop_name)


def address_of(engine: str) -> str:
    """Return the scheduler's address; raise `UsageError` for anything but `dask://HOST:PORT`."""
    host, _, port = engine.removeprefix(_SCHEME).rpartition(":")
    if not engine.startswith(_SCHEME) or not host or not port.isdigit():
        raise UsageError(f"--engine {engine} is no engine: give dask://HOST:PORT, the address of a Dask scheduler.")
    return f"tcp://{host}:{port}"


def count_workers(engine: str) -> int:
    """Return how many workers a cluster has; raise `UsageError` if none answers."""
    with _connect(address_of(engine)) as client:
        return len(_workers(client))


def _connect(address: str) -> Any:
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("--engine dask:// needs Dask: pip install 'coarsefine[distributed]'.") from error
    try:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except OSError as error:  # which a time-out is, too
        raise UsageError(f"No Dask scheduler answers at {address}: start one with `dask scheduler`.") from error


def _workers(client: Any) -> Collection[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    if not found:
        raise UsageError("The Dask cluster has no worker yet: start some with `dask worker`.")
    return found.values()


def _refuse_remote_sqlite(client: Any, task: Task) -> None:
    """Raise `UsageError` if the storage is a SQLite file and workers run on other machines, which cannot open it."""
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


def _run_on_node(task: Task, stop_name: str) -> Ended:
    """Run a task in one of Dask's workers."""
    from distributed import get_client  # noqa: PLC0415 - an extra

    return run_task(task, Observer(), _StopEvent(_event(stop_name, get_client())))


@dataclass(slots=True)
class _StopEvent:
    """Returns, when called, whether a Dask event is set; asks the scheduler at most every half second."""

    event: Any
    clock: Callable[[], float] = time.monotonic
    _checked: float = field(default=float("-inf"))
    _is_set: bool = False

    def __call__(self) -> bool:
        if self.clock() >= self._checked + _STOP_SECONDS:
            self._checked, self._is_set = self.clock(), self.event.is_set()
        return self._is_set
