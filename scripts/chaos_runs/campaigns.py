"""The disturbed campaigns, the processes that run them, and the comparison with an undisturbed run."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
import psutil

from chaos_runs.places import Place
from coarsefine import Campaign, run
from coarsefine.search.errors import SearchError
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.storage.opening import open_storage

_HEAD = (
    "name = 'chaos'\nseed = {seed}\n[data]\ndataset = 'digits'\n"
    "[model]\nhidden = {hidden}\nbatch = {batch}\nepochs = {epochs}\n"
)
_FIRST = "[[stage]]\nname = '{name}'\ntrials = {trials}\neta = [0.01, 1.0]\nlambda = [1e-6, 0.01]\nstack = 4\n"
_NEXT = "[[stage]]\nname = '{name}'\ntrials = {trials}\ncarry = 2\nstack = 4\nnarrow = {{ top = 5 }}\n"
_HALVING = 'pruner = "halving"\n'
_LONGEST_SECONDS = 300
_SHOWN = 5


def plain(seed: int, epochs: int) -> str:
    """Return a campaign of 50 and 30 slots."""
    first, second = _FIRST.format(name="coarse", trials=50), _NEXT.format(name="fine", trials=30)
    return _HEAD.format(seed=seed, hidden=10, batch=10, epochs=epochs) + first + second + "[final]\nepochs = 4\n"


def halving(seed: int, epochs: int) -> str:
    """Return a campaign of as many slots that prunes at rungs."""
    return plain(seed, epochs).replace("stack = 4\n", f"stack = 4\n{_HALVING}")


def long(seed: int, epochs: int, stacks: int) -> str:
    """Return a campaign of one stage with `stacks` stacks of many epochs, each of which trains for seconds."""
    stage = _FIRST.format(name="coarse", trials=4 * stacks)
    return _HEAD.format(seed=seed, hidden=200, batch=4, epochs=epochs) + stage + "[final]\nepochs = 4\n"


def staged(seed: int) -> str:
    """Return a campaign of three short stages, for faults between them."""
    names = ("mid", "fine")
    stages = "".join(_NEXT.format(name=name, trials=6) for name in names)
    head = _HEAD.format(seed=seed, hidden=10, batch=50, epochs=3) + _FIRST.format(name="coarse", trials=8)
    return head + stages + "[final]\nepochs = 4\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a campaign, which must not depend on the faults."""

    trials: dict[tuple[str, int], dict[str, Any]]
    """State, point, seed, values of every epoch and reason, by study and number."""
    rows: int
    """Number of trials in the storage, including doubles."""
    test_accuracy: float | None
    seconds: float = 0.0
    """Duration of the undisturbed run."""


@cache
def calm(text: str) -> Outcome:
    """Return the result of an undisturbed run with one worker on SQLite."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "chaos.toml"
        file.write_text(text, "utf-8")
        status = run(Campaign.load(file), Path(folder) / "studies.db")
        return replace(outcome(f"sqlite:///{folder}/studies.db"), seconds=status.seconds)


def outcome(url: str) -> Outcome:
    """Read the result in a storage through Optuna."""
    storage = optuna.storages.RDBStorage(url.replace("{", "{{").replace("}", "}}"))
    studies = storage.get_all_studies()
    trials = [(s.study_name, t) for s in studies for t in storage.get_all_trials(s._study_id)]  # noqa: SLF001
    finals = [study.user_attrs["final"] for study in studies if "final" in study.user_attrs]
    storage.remove_session()
    storage.engine.dispose()
    records = {(name, trial.number): _record(trial) for name, trial in trials}
    return Outcome(records, len(trials), finals[0]["test_accuracies"][0] if finals else None)


def _record(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    attrs = {key: trial.user_attrs.get(key) for key in ("seed", "train_loss", "validation_loss", "reason")}
    return {
        "state": trial.state.name,
        "point": trial.params,
        "value": trial.values,
        "epochs": trial.intermediate_values,
        **attrs,
    }


def differences(place: Place, expected: Outcome) -> list[str]:
    """Return the first differences between a storage and an undisturbed run, in words."""
    found = outcome(place.location.url)
    lines = list(_differences(found, expected))
    more = [f"… and {len(lines) - _SHOWN} more differences"] if len(lines) > _SHOWN else []
    return [f"{place.database}: {line}" for line in [*lines[:_SHOWN], *more]]


def _differences(found: Outcome, expected: Outcome) -> Iterator[str]:
    if found.rows != len(expected.trials):
        yield f"{found.rows} trials where {len(expected.trials)} were planned"
    if found.test_accuracy != expected.test_accuracy:
        yield f"the winner's test accuracy is {found.test_accuracy}, of a calm run {expected.test_accuracy}"
    for study, number in sorted(found.trials.keys() | expected.trials.keys()):
        here, there = found.trials.get((study, number), {}), expected.trials.get((study, number), {})
        for key in here.keys() | there.keys():
            if here.get(key) != there.get(key):
                yield f"{study} slot {number}: {key} is {here.get(key)}, of a calm run {there.get(key)}"


_started: list["Run"] = []


def kill_all() -> None:
    """Kill the remaining processes of all runs, for a script that is stopped."""
    for run_ in _started:
        run_.kill()


class Run:
    """A `coarsefine run` in its own process and session; the session identifies its worker processes."""

    def __init__(self, place: Place, text: str, workers: int, program: str = "coarsefine", **options: Any) -> None:
        (place.folder / "chaos.toml").write_text(text, "utf-8")
        self.place = place
        _started.append(self)
        self._stderr = place.folder / "stderr.txt"
        words = ["run", "chaos.toml", "--workers", str(workers), "--storage", place.address]
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, *words], cwd=place.folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True, **options,
            )  # fmt: skip

    @property
    def goes_on(self) -> bool:
        """Return whether the run is still going."""
        return self.process.poll() is None

    @property
    def stderr(self) -> str:
        """Return its output on stderr."""
        return self._stderr.read_text("utf-8", "replace")

    def end(self) -> int:
        """Wait at most five minutes for the end of the run and its workers, and return its exit code."""
        try:
            self.process.wait(_LONGEST_SECONDS)
            until(lambda: not self.session(), 60, every=0.1)
        except (subprocess.TimeoutExpired, TimeoutError):  # a broken promise, which the caller sees by the exit code
            self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """Kill the run and its workers."""
        for process in self.session():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def complaints(self) -> list[str]:
        """Wait for the end of the run; return an error if it failed."""
        code = self.end()
        if code == 0:
            return []
        return [f"{self.place.database}: the run ended with exit code {code}: {self.stderr.strip()[-600:]}"]

    def session(self) -> list[psutil.Process]:
        """Return the living processes of the run."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found


def until(reached: Callable[[], Any], seconds: float, every: float = 0.01) -> None:
    """Wait until a condition holds; raise `TimeoutError` if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not reached within {seconds} s")
        time.sleep(every)


def ended(place: Place) -> int:
    """Return how many trials have ended."""
    return place.count("SELECT count(*) FROM trials WHERE state NOT IN ('WAITING', 'RUNNING')") if made(place) else 0


def made(place: Place) -> bool:
    """Return whether the storage has its tables."""
    catalogue = {"SQLite": "sqlite_master WHERE name", "PostgreSQL": "pg_tables WHERE tablename"}[place.database]
    return place.count(f"SELECT count(*) FROM {catalogue} = 'lease'") > 0


def resumed(place: Place, text: str) -> list[str]:
    """Run the same campaign again to its end, in this process; return its differences to an undisturbed run."""
    with chdir(place.folder):
        try:
            run(Campaign.load("chaos.toml"), place.address)
        except SearchError as error:
            return [f"{place.database}: the campaign cannot be resumed: {error}"]
    return differences(place, calm(text))


def studies_of(place: Place) -> Sequence[str]:
    """Return the names of the campaign's studies."""
    storage = open_storage(place.location)
    names = list(find_studies(storage, "chaos"))
    storage.close()
    return names
