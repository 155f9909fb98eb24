"""Kill workers with SIGKILL at random moments of a run.

A slot FAILs if three workers died in the same epoch while they trained it alone: the queue cannot distinguish our kills
from a slot that kills its workers. So the killer spares a worker that is alone with a slot of two deaths.
"""

import math
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import psutil
import sqlalchemy as sa

from chaos_runs.campaigns import Run, calm, differences, ended, halving, made, plain, until
from chaos_runs.findings import Plan, Row
from chaos_runs.places import Place

_SLOTS, _WORKERS, _KILLS = 80, 4, 16
_LAST_KILL = 0.8
"""Fraction of the slots that have ended before the last kill at the latest."""
_LONGEST_DELAY = 0.05
"""Longest delay of a kill after the end of a slot, as a fraction of the shortest possible run on this machine."""
_TWICE_AT_ONCE = 0.2
"""Probability that two workers die together."""
_NEVER_SECONDS = 60
_SEEDS, _EPOCHS, _HALVING_EPOCHS = 5, 16, 24
"""Number of campaign seeds, and the smallest numbers of epochs."""
_LEAST_SECONDS = 12.0
"""Shortest campaign of one worker: on a fast machine a shorter one would end before the last kill."""


@dataclass
class _Killer:
    """Kills the workers of one run."""

    place: Place
    run: Run
    random: np.random.Generator
    longest_delay: float
    """Longest delay in seconds from the end of a slot to a kill."""
    kills: int = 0
    spared: int = 0
    amid_commit: int = 0
    broken: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Kill the workers, each after a random fraction of the slots has ended and a random delay."""
        moments = np.sort(self.random.integers(0, int(_SLOTS * _LAST_KILL), size=_KILLS))
        until(lambda: made(self.place) or not self.run.goes_on, _NEVER_SECONDS)
        for moment in moments:
            delay = self.random.uniform(0, self.longest_delay)
            while self.run.goes_on and ended(self.place) < moment:
                time.sleep(0.03)
            time.sleep(delay)
            before = self.kills
            while self.run.goes_on and self.kills == before:
                self._strike(self.random.uniform() < _TWICE_AT_ONCE)

    def _strike(self, twice: bool) -> None:
        holders = self._holders()
        self.random.shuffle(holders)
        struck = 0
        for pid in holders:
            struck += self._holds(pid) and self._kill(pid)
            if struck == 1 + twice:
                break
        if not struck:
            time.sleep(0.05)

    def _kill(self, pid: int) -> bool:
        """Kill a worker unless it is alone with a slot of two deaths; return whether it was killed.

        The worker is stopped first, since its slots could change between the check and the kill.
        """
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            if self._is_spared(pid):
                self.spared += 1
                os.kill(pid, signal.SIGCONT)
                return False
            os.kill(pid, signal.SIGKILL)
            self.kills += 1
            return True
        return False

    def _is_spared(self, pid: int) -> bool:
        query = f"SELECT count(*), max(deaths) FROM lease WHERE owner <> '' AND pid = {pid}"
        try:
            ((slots, deaths),) = _at_once(self.place, query)
        except sa.exc.OperationalError:  # the stopped worker holds SQLite's lock: its transaction will be rolled back
            self.amid_commit += 1
            return False
        return bool(slots == 1 and deaths >= 2)  # noqa: PLR2004 - a third death would count against the slot

    def _holders(self) -> list[int]:
        found = [pid for (pid,) in self.place.rows("SELECT DISTINCT pid FROM lease WHERE owner <> '' AND trial_id > 0")]
        return [pid for pid in found if pid != self.run.process.pid and _lives(pid)]

    def _holds(self, pid: int) -> bool:
        return self.place.count(f"SELECT count(*) FROM lease WHERE owner <> '' AND trial_id > 0 AND pid = {pid}") > 0


def _at_once(place: Place, query: str) -> Sequence[tuple[int, int]]:
    """Run a query with a short timeout, since the stopped worker may hold the lock."""
    engine = place.engine
    if place.database == "SQLite":
        engine = sa.create_engine(place.location.url, connect_args={"timeout": 0.1}, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query).all()]


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kills(plan: Plan, database: str) -> list[Row]:
    """Kill workers in several runs; every second run prunes."""
    killers = [_one(plan, database, number) for number in range(plan.kill_runs[database])]
    broken = [line for killer in killers for line in killer.broken]
    counted = [killer.kills for killer in killers]
    figures = {
        "runs": len(killers),
        "kills": counted,
        "spared": sum(killer.spared for killer in killers),
        "killed holding SQLite's lock": sum(killer.amid_commit for killer in killers),
    }
    bits = f"{_SLOTS} of {_SLOTS} once, same bits in {sum(not killer.broken for killer in killers)} of {len(killers)}"
    return [
        Row(
            "kill -9 of workers", database, f"{sum(counted)} in {len(killers)} runs", bits,
            f"N finished, each once, same bits; ≥ {_KILLS - 1} kills a run", broken, figures=figures,
        )
    ]  # fmt: skip


@cache
def _longer() -> int:
    """Return the factor by which trials are lengthened on this machine."""
    return math.ceil(_LEAST_SECONDS / calm(plain(0, _EPOCHS)).seconds)


def _one(plan: Plan, database: str, number: int) -> _Killer:
    seed = plan.seed + number // 2 % _SEEDS
    text = halving(seed, _HALVING_EPOCHS * _longer()) if number % 2 else plain(seed, _EPOCHS * _longer())
    expected = calm(text)
    with plan.databases.new(database) as place:
        run = Run(place, text, _WORKERS)
        random = plan.random(1, plan.databases.key(database), number)
        killer = _Killer(place, run, random, _LONGEST_DELAY * expected.seconds / _WORKERS)
        killer.go()
        killer.broken += run.complaints() or differences(place, expected)
        if killer.kills < _KILLS - 1:
            killer.broken.append(f"{database}, run {number}: only {killer.kills} kills before the end")
    plan.say(f"{database}: run {number + 1} lost {killer.kills} workers, and {killer.broken or 'nothing else'}")
    return killer
