"""Stop workers (SIGSTOP) past their lease, so that others claim their slots, then wake them up."""

import os
import signal
import threading
from typing import Any

import psutil
from optuna.trial import TrialState

from chaos_runs.campaigns import until
from chaos_runs.findings import Plan, Row
from chaos_runs.places import Place
from chaos_runs.trivial import Trivial, forking, open_stage, worker_of
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Claim, Record

_SLOTS, _HELD, _EPOCHS = 8, 4, 6
_LEASE_SECONDS = 0.2
_ZOMBIES, _HEIRS = 0.25, 0.75
"""The value that each worker reports in every epoch, which shows who wrote it."""


def zombies(plan: Plan, database: str) -> list[Row]:
    """Stop workers in epochs drawn from the seed, and wake half of them before the next owner ends."""
    random = plan.random(3, plan.databases.key(database))
    refused, accepted, broken = 0, 0, []
    for number in range(plan.zombies):
        epoch, early = int(random.integers(1, _EPOCHS + 1)), bool(number % 2)
        with plan.databases.new(database) as place:
            tried, written, wrong = _one(place, epoch, early)
        refused += tried
        accepted += len(written)
        broken += [f"{database}, stopped in epoch {epoch}: {line}" for line in [*written, *wrong]]
    plan.say(f"{database}: {plan.zombies} workers slept past their leases, {refused} late writes refused")
    return [
        Row(
            "SIGSTOP past the lease, awake", database, f"{plan.zombies} workers",
            f"{accepted} late writes accepted, {refused} refused", "0 late writes accepted", broken,
            figures={"accepted": accepted, "refused": refused},
        )
    ]  # fmt: skip


def _one(place: Place, epoch: int, early: bool) -> tuple[int, list[str], list[str]]:
    """Return the number of refused writes of a worker that slept, its accepted writes, and other errors."""
    study = open_stage(place, _SLOTS)
    context = forking()
    queue = context.SimpleQueue()
    zombie = context.Process(target=_be_zombie, args=(place.location, study, epoch, queue))
    zombie.start()
    heir = open_storage(place.location, writing=True)
    try:
        until(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_STOPPED, 60)
        claims = _inherit(heir, study)
        if not early:
            _end(heir, claims)
        os.kill(zombie.pid or 0, signal.SIGCONT)
        zombie.join(60)
        lost = _end(heir, claims) if early else []
    finally:
        zombie.kill()  # it may still be stopped or busy if something went wrong
        zombie.join()
        heir.close()
    wrong = [f"its worker ended with exit code {zombie.exitcode}"] if zombie.exitcode else []
    wrong += [f"the heir was refused slot {claim.slot.number}" for claim in lost]
    refused = 0 if zombie.exitcode else queue.get()
    if not refused:
        wrong.append("it never tried to write")
    return refused, _written(place, study, claims), wrong


def _be_zombie(location: Location, study: int, epoch: int, queue: Any) -> None:
    """Run a worker with a short lease that stops itself, outside any transaction, in an epoch of its first stack."""
    refused: list[Claim] = []
    stops = iter([epoch])
    renewing = threading.Lock()

    def after(now: int) -> None:
        if now == epoch and next(stops, None):
            with renewing:
                os.kill(os.getpid(), signal.SIGSTOP)

    storage = open_storage(location, writing=True, lease_seconds=_LEASE_SECONDS)
    record, renew = storage.queue.record, storage.queue.renew

    def renewed() -> None:
        with renewing:
            renew()

    def noting(records: Any, holding: Any) -> list[Claim]:
        lost = record(records, holding)
        refused.extend(lost)
        return lost

    storage.queue.record, storage.queue.renew = noting, renewed  # type: ignore[method-assign]
    worker_of(storage, study, _SLOTS, Trivial(_ZOMBIES, _EPOCHS, after), _HELD, workers=_SLOTS // _HELD).work()
    queue.put(len(refused))


def _inherit(heir: Storage, study: int) -> list[Claim]:
    """Claim until the sleeper's slots are ours, which means that its lease expired by the database's clock."""
    claims: list[Claim] = []

    def inherited() -> bool:
        claims.extend(heir.queue.claim(study, _SLOTS))
        return any(claim.attempt > 1 for claim in claims)

    until(inherited, 60)
    return claims


def _end(heir: Storage, claims: list[Claim]) -> list[Claim]:
    steps = dict.fromkeys(range(1, _EPOCHS + 1), _HEIRS)
    attrs = {"train_loss": [_HEIRS], "validation_loss": [_HEIRS]}
    return heir.queue.record([Record(claim, steps, _HEIRS, attrs, TrialState.COMPLETE) for claim in claims], claims)


def _written(place: Place, study: int, claims: list[Claim]) -> list[str]:
    storage = open_storage(place.location)
    trials = {trial.number: trial for trial in storage.get_all_trials(study)}
    storage.close()
    wrong = []
    for claim in claims:
        trial = trials[claim.slot.number]
        found = {*trial.intermediate_values.values(), *trial.user_attrs["train_loss"], trial.value}
        if found != {_HEIRS} or trial.state is not TrialState.COMPLETE:
            wrong.append(f"slot {claim.slot.number} is {trial.state.name} with {sorted(map(str, found))}, not {_HEIRS}")
    return wrong
