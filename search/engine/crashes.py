"""How often the workers of a pool crash, and when a worker or the run ends for it: none is started again for ever."""

from collections import Counter, defaultdict
from pathlib import Path

from coarsefine.search.engine.worker_process import Ended
from coarsefine.search.errors import WorkersFailed

_MOST_EXCEPTIONS = 3
"""Exceptions with the same cause, without a trial that ended in between, after which the run ends, or a worker."""
_MOST_DEATHS = 10
"""Deaths of processes, without a trial that ended in between, after which the run ends: no trial is to blame."""


class Crashes:
    """Counts the crashes of workers since they have ended a trial: exceptions that nobody expects, and deaths."""

    def __init__(self) -> None:
        self._exceptions: Counter[str] = Counter()
        """How often each cause was met by any worker since any of them ended a trial."""
        self._own: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """How often each cause was met by a worker since that one ended a trial, by its name."""
        self._deaths = 0

    def forget(self, worker: str) -> None:
        """Forget what came before a worker has ended a trial."""
        self._own[worker].clear()
        self._exceptions.clear()
        self._deaths = 0

    def count_exception(self, worker: str, ended: Ended, log: Path) -> str | None:
        """Count an exception; return why this worker should not be started again, if it does nothing but crash.

        Raises `WorkersFailed` if all workers do nothing else.
        """
        why = f"{ended.text.rstrip('.')}. See {log}."
        for counts in (self._exceptions, self._own[worker]):
            counts[ended.crash] += 1
        times = f"failed {_MOST_EXCEPTIONS} times with the same error"
        if self._exceptions[ended.crash] >= _MOST_EXCEPTIONS:
            raise WorkersFailed(f"Workers {times}, and no trial ended in between: {why}", ended.exit_code)
        if self._own[worker][ended.crash] >= _MOST_EXCEPTIONS:
            return f"{worker} {times} without ending a trial, and is not restarted: {why}"
        return None

    def count_death(self, worker: str, cause: str, log: Path) -> None:
        """Count the death of a process; raise `WorkersFailed` if workers do nothing but die."""
        self._deaths += 1
        if self._deaths >= _MOST_DEATHS:
            raise WorkersFailed(
                f"Workers died {self._deaths} times, and no trial ended in between. The last one, {worker}, {cause}: "
                f"see {log}."
            )
