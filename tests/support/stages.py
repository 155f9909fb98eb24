"""Open stages whose slots are not trained, and make the records that a worker would write."""

from optuna.trial import TrialState

from coarsefine.search.campaign.dimension import LogUniform
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.storage.slots import Record, Slot

SPACE = Space.of({"eta": LogUniform(0.01, 1.0), "lambda": LogUniform(1e-6, 1e-2)})


def planned(n):
    """Return n slots with distinct points and seeds."""
    return [
        Slot(number, Point.of({"eta": 0.02 + number / 10_000, "lambda": 1e-4}), 1000 + number) for number in range(n)
    ]


def open_stage(storage, n, name="small/coarse", identity=None):
    """Open a stage of n slots; return its id."""
    storage.open_study(name, {"campaign": "small"} | ({"id": identity} if identity else {}), SPACE, planned(n))
    return storage.get_study_id_from_name(name)


def ended(claim, state=TrialState.COMPLETE):
    """Return the record of an ended trial with two epochs."""
    value = claim.slot.number / 10
    return Record(claim, {1: value / 2, 2: value}, value, {"train_loss": [1.0, 0.5]}, state)


def running(claim, *epochs):
    """Return the record of a trial that still trains, with a value for each of the epochs."""
    return Record(claim, dict.fromkeys(epochs, 0.5), 0.5, {"train_loss": [1.0]}, TrialState.RUNNING)


def states(storage, study):
    return [trial.state.name for trial in sorted(storage.get_all_trials(study), key=lambda trial: trial.number)]


def finish(storage, study, n):
    """Claim and complete slots until none is left; return the numbers of each claim."""
    done = []
    while claims := storage.queue.claim(study, n):
        storage.queue.record([ended(claim) for claim in claims], claims)
        done.append(numbers(claims))
    return done


def numbers(claims):
    return [claim.slot.number for claim in claims]
