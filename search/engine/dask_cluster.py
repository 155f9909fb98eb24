"""Workers on a Dask cluster: the task of a worker process, submitted to other machines.

Dask brings the launchers (SSH, SLURM, Kubernetes) and resubmits a task whose worker died. It does not promise to run a
task only once; the leases of the storage ensure that each slot is recorded once.
"""

import time
from collections.abc import Collection
from concurrent.futures import Executor, Future, wait
from typing import Any, Self

import psutil

from coarsefine.search.engine.worker_process import Ended, Task, run_task
from coarsefine.search.errors import RepeatedFailure, UsageError, WorkersFailed
from coarsefine.search.results.observer import Observer
from coarsefine.search.training.user_code.failures import describe

_CONNECT_SECONDS = 10
_STOP_SECONDS = 0.5
"""Seconds between a worker's checks whether to stop: each one asks the scheduler."""
_MOST_LOSSES = 3
"""How often a task is submitted again that Dask gave up, which it does after four of its workers died."""


class DaskWorkers:
    """Keeps a task's workers running on a Dask cluster while entered; stops them on leaving."""

    def __init__(self, task: Task, engine: str, observer: Observer) -> None:
        self._task, self._engine, self._observer = task, engine, observer
        self._losses = 0
        self._given_up = ""
        """Why the last worker that stopped for good did so, as a sentence."""

    def __enter__(self) -> Self:
        self._client = _connect(self._engine)
        from distributed import Event  # noqa: PLC0415 - an extra

        try:
            _refuse_remote_sqlite(self._client, self._task)
            self._executor: Executor = self._client.get_executor(pure=False)
            self._stop = Event(client=self._client)
            self._futures = {self._submit() for _ in range(self._task.workers)}
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let the workers finish their epoch; on `KeyboardInterrupt`, do not wait for them."""
        try:
            self._stop.set()
            if kind is None or not issubclass(kind, KeyboardInterrupt):
                wait(self._futures)
        finally:
            self._client.close()

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` until a worker ends; submit again what Dask gave up.

        Raises `WorkersFailed` if a worker ended with an error, if Dask loses worker after worker, or if all have ended
        and one of them because trial after trial failed.
        """
        if not self._futures:
            if self._given_up:
                raise WorkersFailed(self._given_up, RepeatedFailure.exit_code)
            self._futures = {self._submit() for _ in range(self._task.workers)}  # trials were retried since
        for future in wait(self._futures, seconds, "FIRST_COMPLETED").done:
            self._futures.remove(future)
            self._handle_end(future)

    def _handle_end(self, future: Future[Ended]) -> None:
        from distributed import KilledWorker  # noqa: PLC0415 - an extra

        try:
            ended = future.result()
        except KilledWorker as error:
            self._losses += 1
            if self._losses > _MOST_LOSSES:
                raise WorkersFailed(
                    f"The Dask cluster loses its workers again and again ({error}). Check the cluster's logs "
                    "and memory, then run the same command again."
                ) from error
            self._observer.on_message(
                "The Dask cluster lost several workers: their trials are released, and another worker takes over."
            )
            self._futures.add(self._submit())
            return
        except Exception as error:  # whatever a node raises, such as ModuleNotFoundError without Coarsefine
            why = describe(error)
            raise WorkersFailed(f"A worker of the Dask cluster failed: {why}. See the cluster's logs.") from error
        if ended.gave_up:
            self._given_up = ended.text
            if self._futures:  # else the run ends with this text
                self._observer.on_warning(
                    "A worker of the Dask cluster stopped after too many failures in a row; the others go on."
                )
        elif ended.exit_code:
            raise WorkersFailed(ended.text, ended.exit_code)

    def _submit(self) -> "Future[Ended]":
        return self._executor.submit(_run_on_node, self._task, self._stop.name)


def count_workers(engine: str) -> int:
    """Return how many workers a cluster has; raise `UsageError` if none answers."""
    with _connect(engine) as client:
        return len(_workers(client))


def _connect(engine: str) -> Any:
    """Return a client of the scheduler at `dask://HOST:PORT`; raise `UsageError` if there is none."""
    scheme, _, address = engine.partition("://")
    host, _, port = address.rpartition(":")
    if scheme != "dask" or not host or not port.isdigit():
        raise UsageError(f"--engine {engine} is not the address of a Dask scheduler: give dask://HOST:PORT.")
    address = f"tcp://{address}"
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("--engine dask:// needs Dask: pip install distributed.") from error
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
    if task.storage.path is None:
        return
    here = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    elsewhere = {str(worker["host"]) for worker in _workers(client)} - here
    if elsewhere:
        raise UsageError(
            f"The Dask cluster has workers on other machines ({', '.join(sorted(elsewhere))}), which a SQLite file "
            "cannot serve: give --storage postgresql+psycopg://HOST/DATABASE."
        )


def _run_on_node(task: Task, stop_name: str) -> Ended:
    """Run a task in one of Dask's workers."""
    from distributed import Event, get_client  # noqa: PLC0415 - an extra

    event = Event(stop_name, get_client())
    next_check, stopped = 0.0, False

    def stop() -> bool:
        nonlocal next_check, stopped
        if time.monotonic() >= next_check:
            stopped, next_check = event.is_set(), time.monotonic() + _STOP_SECONDS
        return stopped

    return run_task(task, Observer(), stop)
