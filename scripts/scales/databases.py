"""Make the databases under measurement: real studies, whose trials are recorded through the queue and not trained."""

from contextlib import closing
from pathlib import Path

from optuna.trial import TrialState

from coarsefine import Campaign
from coarsefine.search.results.stage_opening import open_study
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.opening import create_storage
from coarsefine.search.storage.slots import Claim, Record
from coarsefine.search.training.identity import fingerprint
from coarsefine.search.training.workload import ServedFunction, load_workload, serving

_MODULE = "scale_objective"
_FUNCTION = "def train(point, seed, report):\n    return point['x'] - point['y']\n"
_AT_ONCE = 5000
_SMALL, _EPOCHS = 20, 15
"""Trials and epochs of each of many campaigns."""


def campaign_of(folder: Path, name: str, trials: int) -> Path:
    """Write a campaign of a function without cost, and the function; return the campaign's file."""
    (folder / f"{_MODULE}.py").write_text(_FUNCTION, "utf-8")
    path = folder / f"{name}.toml"
    stage = f'{{ name = "only", trials = {trials}, space = {{ x = [0.001, 1.0], y = [0.0001, 1.0] }} }}'
    path.write_text(f'name = "{name}"\nobjective = "{_MODULE}:train"\nstage = [ {stage} ]\n', "utf-8")
    return path


def make(location: Location, file: Path, ended: int) -> int:
    """Open the stage of a campaign's file, end the first trials of it, with one epoch each; return the study's id."""
    campaign = Campaign.load(file)
    workload = load_workload(campaign, None, lambda _: None)
    assert isinstance(workload, ServedFunction)  # noqa: S101 - the campaign has an objective
    with serving(workload), closing(create_storage(location)) as storage:
        open_study(storage, campaign, campaign.stage[0], None, fingerprint(campaign, workload))
        study: int = storage.get_study_id_from_name(campaign.study_name(campaign.stage[0]))
        while ended > 0:
            claims = storage.queue.claim(study, min(_AT_ONCE, ended))
            storage.queue.record([record(claim, 1) for claim in claims], claims)
            ended -= len(claims)
    return study


def make_many(location: Location, folder: Path, campaigns: int) -> None:
    """Make many campaigns whose trials have ended."""
    file = campaign_of(folder, "many", _SMALL)
    first = Campaign.load(file)
    workload = load_workload(first, None, lambda _: None)
    assert isinstance(workload, ServedFunction)  # noqa: S101 - the campaign has an objective
    with serving(workload), closing(create_storage(location)) as storage:
        for number in range(campaigns):
            campaign = first.model_copy(update={"name": f"many-{number}"})
            open_study(storage, campaign, campaign.stage[0], None, fingerprint(campaign, workload))
            study = storage.get_study_id_from_name(campaign.study_name(campaign.stage[0]))
            claims = storage.queue.claim(study, _SMALL)
            storage.queue.record([record(claim, _EPOCHS) for claim in claims], claims)


def record(claim: Claim, epochs: int) -> Record:
    """Return the record of a worker that has trained a slot to its end."""
    x, y = claim.slot.point.as_dict().values()
    assert isinstance(x, float)  # noqa: S101 - the ranges are of real numbers
    assert isinstance(y, float)  # noqa: S101
    attrs = {"train_loss": [], "validation_loss": [], "arithmetic": "python", "worker": "host:1", "source": "0" * 64}
    return Record(claim, dict.fromkeys(range(1, epochs + 1), x - y), x - y, attrs, TrialState.COMPLETE)
