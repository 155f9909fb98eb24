"""Measure the cost of a kill: from SIGKILL until another worker has trained the same slots further than the dead one.

Only slots that lose their first worker are measured: slots that lost two train alone, which is slower.
"""

import os
import signal
import time
from dataclasses import dataclass, field

import numpy as np

from chaos_runs.campaigns import Run, calm, differences, long, made, until
from chaos_runs.findings import Plan, Row, shown
from chaos_runs.places import Place

_WORKERS = 2
_EPOCHS = 150
_NEVER_SECONDS = 60
_PROMISED_SECONDS = 2.0
_UNRECORDED_SECONDS = 0.25
"""Largest age of an epoch before it is recorded: epochs of that age count as trained when the worker was killed."""


@dataclass
class _Killer:
    """Kills workers of one run during their trials, one after the other."""

    place: Place
    run: Run
    random: np.random.Generator
    epoch: float
    """Seconds of one epoch."""
    seconds: list[float] = field(default_factory=list)
    recorded: list[int] = field(default_factory=list)
    """Recorded epochs of each worker's stack when it was killed."""

    def go(self, kills: int) -> None:
        """Kill the workers, each when the stack of some worker has reached a random epoch."""
        until(lambda: made(self.place) or not self.run.goes_on, _NEVER_SECONDS)
        for epoch in self.random.integers(_EPOCHS // 10, _EPOCHS * 9 // 10, size=kills):
            while self.run.goes_on and not (victims := self._amid_trials(int(epoch))):
                time.sleep(0.01)
            if not self.run.goes_on:
                return
            self._kill(victims[0])

    def _amid_trials(self, epoch: int) -> list[int]:
        """Return workers whose slots have reached an epoch and have not lost a worker before."""
        query = (
            "SELECT lease.pid FROM lease JOIN trial_intermediate_values AS steps ON steps.trial_id = lease.trial_id "
            "WHERE lease.owner <> '' AND lease.trial_id > 0 "
            f"GROUP BY lease.pid HAVING max(lease.deaths) = 0 AND max(steps.step) >= {epoch}"
        )
        return [pid for (pid,) in self.place.rows(query) if pid != self.run.process.pid]

    def _kill(self, pid: int) -> None:
        held = dict(self.place.rows(f"SELECT trial_id, attempt FROM lease WHERE owner <> '' AND pid = {pid}"))
        if not held:  # its stack has just ended
            return
        before = self._steps(held)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        killed = time.monotonic()
        until(lambda: self._is_back(held, before), _NEVER_SECONDS)
        self.seconds.append(time.monotonic() - killed)
        self.recorded.append(max(before.values(), default=0))

    def _is_back(self, held: dict[int, int], before: dict[int, int]) -> bool:
        """Return whether each unfinished slot was trained further than the dead worker can have trained it."""
        further = 1 + int(_UNRECORDED_SECONDS / self.epoch)
        ids = ", ".join(map(str, held))
        query = f"SELECT trial_id FROM trials WHERE trial_id IN ({ids}) AND state IN ('WAITING', 'RUNNING')"
        left = {trial for (trial,) in self.place.rows(query)}
        query = f"SELECT trial_id, attempt FROM lease WHERE trial_id IN ({ids}) AND owner <> ''"
        attempts, now = dict(self.place.rows(query)), self._steps(held)
        return all(attempts.get(t, 0) > held[t] and now.get(t, 0) >= before.get(t, 0) + further for t in left)

    def _steps(self, held: dict[int, int]) -> dict[int, int]:
        ids = ", ".join(map(str, held))
        query = f"SELECT trial_id, max(step) FROM trial_intermediate_values WHERE trial_id IN ({ids}) GROUP BY trial_id"
        return dict(self.place.rows(query))


def lost_time(plan: Plan, database: str) -> list[Row]:
    """Kill workers during long trials, and time how long the campaign takes to recover."""
    text = long(plan.seed, _EPOCHS, plan.timed_stacks)
    expected = calm(text)
    epoch = expected.seconds / (plan.timed_stacks * _EPOCHS)
    with plan.databases.new(database) as place:
        run = Run(place, text, _WORKERS)
        killer = _Killer(place, run, plan.random(7, plan.databases.key(database)), epoch)
        killer.go(plan.timed_kills)
        broken = run.complaints() or differences(place, expected)
        if len(killer.seconds) < plan.timed_kills // 2:
            broken.append(
                f"{database}: only {len(killer.seconds)} of {plan.timed_kills} workers could be killed in time"
            )
    allowed = _PROMISED_SECONDS + epoch
    timed = killer.seconds
    plan.say(f"{database}: killed {len(timed)} workers during long trials, {shown(timed)}")
    return [
        Row(
            "time lost to a kill", database, str(len(timed)), shown(timed), f"≤ {allowed:.2f} s (an epoch and 2 s)",
            broken, met=None if plan.quick or not timed else max(timed) <= allowed,
            figures={
                "timed": True, "seconds": timed, "epochs recorded when killed": killer.recorded,
                "seconds of an epoch": epoch, "seconds of a trial": epoch * _EPOCHS,
            },
        )
    ]  # fmt: skip
