"""Hang up, stop, suspend, crash and kill a run at random moments, and move the clock by ten minutes meanwhile.

Nobody can set the clock of the machine here. A lease only knows until when it lasts, so that all leases are moved ten
minutes into the past instead: that is what processes find when a computer wakes up, or when its clock was set.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import psutil

from chaos_runs.campaigns import Run, calm, differences, ended, made, plain, until
from chaos_runs.findings import Plan, Row
from chaos_runs.places import Place

_SLOTS, _WORKERS, _FAULTS = 80, 2, 5
_LAST_FAULT = 0.8
"""Fraction of the slots that have ended before the last fault at the latest."""
_EPOCHS = 16
_AHEAD_SECONDS = 600
_NEVER_SECONDS = 60
_STOPPED = 130
"""The exit code of a run that was stopped."""


@dataclass
class _Disturber:
    """Disturbs one campaign, and starts its run again whenever it has ended."""

    place: Place
    text: str
    random: np.random.Generator
    done: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Disturb the run, each time after a random fraction of the slots has ended; then let it end."""
        self._start()
        for moment in np.sort(self.random.integers(0, int(_SLOTS * _LAST_FAULT), size=_FAULTS)):
            while self.run.goes_on and ended(self.place) < moment:
                time.sleep(0.02)
            kinds = sorted(KINDS)
            if self.run.goes_on:
                kind = kinds[int(self.random.integers(len(kinds)))]
                KINDS[kind](self)
                self.done[kind] += 1
            if not self.run.goes_on:
                self._start()
        self.broken += self.run.complaints()

    def _start(self) -> None:
        """Start the run, and wait until it trains: the system itself ends a process that is still being loaded."""
        self.run = Run(self.place, self.text, _WORKERS, program="chaos_runs.crashing")
        until(lambda: self._trains or not self.run.goes_on, _NEVER_SECONDS)

    @property
    def _trains(self) -> bool:
        """Return whether a worker of the present run holds slots."""
        if not made(self.place):
            return False
        return not self._holders().isdisjoint(process.pid for process in self.run.session())

    def _holders(self) -> set[int]:
        rows = self.place.rows("SELECT DISTINCT pid FROM lease WHERE owner <> '' AND trial_id > 0")
        return {int(pid) for (pid,) in rows}

    def hang_up(self) -> None:
        """Close the terminal: SIGHUP for all processes of the session's group."""
        self._end(lambda: os.killpg(self.run.process.pid, signal.SIGHUP))

    def stop(self) -> None:
        """Stop the run with SIGTERM."""
        self._end(self.run.process.terminate)

    def move_clock(self) -> None:
        """Let all leases have expired ten minutes ago while their processes run."""
        self.place.execute(f"UPDATE lease SET expires = expires - {_AHEAD_SECONDS} WHERE owner <> ''")

    def suspend(self) -> None:
        """Suspend all processes, and wake them ten minutes later in any order."""
        processes = self.run.session()
        for process in processes:
            _signal(process, signal.SIGSTOP)
        with suppress(Exception):  # a stopped process may hold SQLite's lock: then no time passes
            self.move_clock()
        for place in self.random.permutation(len(processes)):
            _signal(processes[place], signal.SIGCONT)

    def kill(self) -> None:
        """Kill a worker."""
        if holders := sorted(self._holders()):
            with suppress(ProcessLookupError):
                os.kill(int(self.random.choice(holders)), signal.SIGKILL)

    def crash(self) -> None:
        """Let the next worker that trains raise an error that cannot be printed."""
        (self.place.folder / "crash").touch()

    def _end(self, send: Callable[[], None]) -> None:
        with suppress(ProcessLookupError):
            send()
        if (code := self.run.end()) not in {0, _STOPPED}:
            why = self.run.stderr[-600:]
            self.broken.append(f"{self.place.database}: a stopped run ended with exit code {code}: {why}")


KINDS: dict[str, Callable[[_Disturber], None]] = {
    "clock 10 min ahead": _Disturber.move_clock,
    "crash in order": _Disturber.crash,
    "hang-up (SIGHUP)": _Disturber.hang_up,
    "kill -9 of a worker": _Disturber.kill,
    "stop (SIGTERM)": _Disturber.stop,
    "suspend for 10 min": _Disturber.suspend,
}


def disturbances(plan: Plan, database: str) -> list[Row]:
    """Disturb several runs; return a row for each kind of fault, and one for what remains."""
    found = [_one(plan, database, number) for number in range(plan.disturbed)]
    broken = [line for disturber in found for line in disturber.broken]
    counts = sum((disturber.done for disturber in found), Counter())
    each = "N exact, same bits, no trial FAILed that would have completed"
    whole = sum(not disturber.broken for disturber in found)
    return [
        Row(kind, database, f"{counts[kind]} in {len(found)} runs", f"{whole} of {len(found)} runs whole", each, broken)
        for kind in KINDS
    ]


def _one(plan: Plan, database: str, number: int) -> _Disturber:
    text = plain(plan.seed + number % 5, _EPOCHS)
    expected = calm(text)
    with plan.databases.new(database) as place:
        disturber = _Disturber(place, text, plan.random(9, plan.databases.key(database), number))
        disturber.go()
        disturber.broken += differences(place, expected)
    plan.say(f"{database}: run {number + 1} met {dict(disturber.done)}, and {disturber.broken or 'nothing else'}")
    return disturber


def _signal(process: psutil.Process, kind: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(kind)
