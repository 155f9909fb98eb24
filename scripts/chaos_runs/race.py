"""Claims: sixteen processes race for the same slots; four processes are timed against Optuna's ask and tell."""

import statistics
import time
from contextlib import suppress
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial

from chaos_runs.findings import Plan, Row
from chaos_runs.trivial import ProcessResult, Trivial, at_once, open_stage, timed, worker_of
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.opening import open_storage

_RACERS, _WORKERS = 16, 4
_STACKS = (8, 1)
"""Slots claimed together: about as many as a stack of the network, and one, as with Optuna's `ask`."""
_PROMISED_RATIO = 3.0


def race(plan: Plan, database: str) -> list[Row]:
    """Let sixteen processes claim all slots of a stage."""
    slots = plan.race_slots
    with plan.databases.new(database) as place:
        study = open_stage(place, slots)
        results = at_once(_RACERS, _claim_all, place.location, study, slots, 4, _RACERS)
        claimed = [number for each in results for number in each.numbers]
        doubles = sorted({number for number in claimed if claimed.count(number) > 1})
        finished = place.count("SELECT count(*) FROM trials WHERE state = 'COMPLETE'")
    plan.say(f"{database}: {_RACERS} processes claimed {len(claimed)} of {slots} slots")
    broken = [f"{database}: slot {number} was claimed {claimed.count(number)} times" for number in doubles]
    if finished != slots:
        broken.append(f"{database}: {finished} of {slots} slots completed")
    seen = f"{len(doubles)} doubles, {finished} completed"
    return [Row(f"claim race, {_RACERS} processes", database, f"{slots:,} slots", seen, "0 doubles", broken)]


def _claim_all(barrier: Any, location: Location, study: int, trials: int, stack: int, workers: int) -> ProcessResult:
    storage = open_storage(location, writing=True)
    result = ProcessResult(0.0)
    storage.queue.claim = timed(storage.queue.claim, result.claims)  # type: ignore[method-assign]
    worker = worker_of(storage, study, trials, Trivial(), stack, workers)
    worker.on_claimed = result.numbers.extend
    barrier.wait(120)
    result.began = time.monotonic()
    worker.work()
    result.ended = time.monotonic()
    storage.close()
    return result


def speed(plan: Plan, database: str) -> list[Row]:
    """Measure trials per second in turn: ours in stacks and one by one, Optuna's enqueued and sampled trials."""
    rates: dict[str, list[float]] = {}
    claims: list[float] = []
    doubled = 0
    for _ in range(plan.speed_rounds):
        for stack in _STACKS:
            results = _ours(plan, database, stack)
            rates.setdefault(f"stacks of {stack}", []).append(_rate(results))
            claims += [seconds for each in results for seconds in each.claims if stack == _STACKS[0]]
        for enqueued in (True, False):
            results = _optunas(plan, database, enqueued)
            rates.setdefault("Optuna, enqueued" if enqueued else "Optuna, drawn", []).append(_rate(results))
            numbers = [number for each in results for number in each.numbers]
            doubled += len(numbers) - len(set(numbers))
    plan.say(f"{database}: trials a second {rates}")
    figures = {
        "rates": rates,
        "claim p99 ms": 1000 * float(np.quantile(claims, 0.99)),
        "Optuna gave out again": doubled,
    }
    return [_judged(plan, database, figures)]


def _judged(plan: Plan, database: str, figures: dict[str, Any]) -> Row:
    """Return the row; it compares with Optuna's faster way."""
    median = {name: statistics.median(found) for name, found in figures["rates"].items()}
    enqueued, drawn = median["Optuna, enqueued"], median["Optuna, drawn"]
    ours, single = (median[f"stacks of {stack}"] for stack in _STACKS)
    ratio = ours / max(enqueued, drawn)
    return Row(
        f"trials a second, {_WORKERS} workers", database, f"{plan.speed_rounds} × {plan.speed_trials} trials",
        f"{ours:.0f} in stacks of {_STACKS[0]}, {single:.0f} one by one; Optuna {enqueued:.0f} enqueued, "
        f"{drawn:.0f} drawn: {ratio:.1f} × "
        f"(one by one {single / max(enqueued, drawn):.1f} ×); claim p99 {figures['claim p99 ms']:.0f} ms",
        f"≥ {_PROMISED_RATIO:g} ×", met=None if plan.quick else ratio >= _PROMISED_RATIO,
        figures={"timed": True, "ratio": ratio, **figures},
    )  # fmt: skip


def _ours(plan: Plan, database: str, stack: int) -> list[ProcessResult]:
    with plan.databases.new(database) as place:
        study = open_stage(place, plan.speed_trials)
        return at_once(_WORKERS, _claim_all, place.location, study, plan.speed_trials, stack, _WORKERS)


def _optunas(plan: Plan, database: str, enqueued: bool) -> list[ProcessResult]:
    with plan.databases.new(database) as place:
        study = optuna.create_study(storage=_storage(place.location), study_name="optuna", direction="maximize")
        study.add_trials([_enqueued(number) for number in range(plan.speed_trials if enqueued else 0)])
        return at_once(_WORKERS, _ask_and_tell, place.location, plan.speed_trials // _WORKERS)


def _enqueued(number: int) -> optuna.trial.FrozenTrial:
    """Return what `study.enqueue_trial` writes, without its search for equal trials."""
    fixed = {"fixed_params": {"eta": 0.02 + number / 10_000, "lambda": 1e-4}}
    return create_trial(state=TrialState.WAITING, system_attrs=fixed)


def _ask_and_tell(barrier: Any, location: Location, trials: int) -> ProcessResult:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="optuna", storage=_storage(location), sampler=optuna.samplers.RandomSampler())
    result = ProcessResult(0.0)
    barrier.wait(120)
    result.began = time.monotonic()
    for _ in range(trials):
        trial = study.ask()
        result.numbers.append(trial.number)
        with suppress(UpdateFinishedTrialError):  # on SQLite another process got the same trial and was faster
            trial.suggest_float("eta", 1e-6, 1.0, log=True)
            trial.suggest_float("lambda", 1e-6, 1.0, log=True)
            study.tell(trial, 0.5, skip_if_finished=True)
    result.ended = time.monotonic()
    return result


def _storage(location: Location) -> optuna.storages.RDBStorage:
    waiting = {"connect_args": {"timeout": 60}} if location.path else {}
    url = location.url.replace("{", "{{").replace("}", "}}")
    return optuna.storages.RDBStorage(url, engine_kwargs=waiting)


def _rate(results: list[ProcessResult]) -> float:
    trials = sum(len(each.numbers) for each in results)
    return trials / (max(each.ended for each in results) - min(each.began for each in results))
