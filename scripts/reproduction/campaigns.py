"""Run the campaigns and the final trainings of their winners: the accuracies of each step for one seed, as JSON."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import selection
from coarsefine import Campaign, Status, run
from coarsefine.search.campaign.sections import FinalSettings
from coarsefine.search.network.export import export_trial
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.train import final_settings_for, train
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.study import Study
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage
from reproduction.plan import NARROWED, Plan


def whole(plan: Plan, seed: int, kind: str) -> dict[str, Any]:
    """Run a campaign of a kind to its end; its final training is the step of the same name."""
    status = _run(plan, plan.campaign(kind, seed))
    return {"status": _portable(status), "steps": {kind: _accuracies(status.final)}}


def narrowed(plan: Plan, seed: int) -> dict[str, Any]:
    """Run the campaign with narrowed ranges and confirmed finalists; train its winners in each further way.

    A campaign without confirmation would search the same trials, so its winner is the highest of these.
    """
    campaign = plan.campaign(NARROWED, seed)
    status = _run(plan, campaign)
    studies = _studies(plan, campaign)
    winner = export_trial(studies)
    all_images = final_settings_for(winner, on_validation=True)
    longer = final_settings_for(winner, on_validation=True, epochs=plan.longer.epochs, decay=plan.longer.decay)
    steps = {
        "narrowed": _train(plan, export_trial(studies, highest(status)), campaign.network.final),
        "confirmed": status.final,
        "all-images": _train(plan, winner, all_images),
        "longer": _train(plan, winner, longer),
    }
    return {"status": _portable(status), "steps": {name: _accuracies(final) for name, final in steps.items()}}


def choice(plan: Plan, seed: int) -> dict[str, Any]:
    """Simulate how often each rule picks the truly best, with the settings and the noise of a narrowed campaign."""
    return selection.study(plan.storage, f"{NARROWED}-{seed}", plan.repetitions, seed)


def highest(status: Status) -> tuple[str, int]:
    """Return study and number of the highest trial (the first of equals), which is the winner without finalists."""
    best = [(stage.study, trial) for stage in status.stages for trial in stage.best[:1]]
    study, trial = max(best, key=lambda pair: pair[1].value)
    return study, trial.number


def _run(plan: Plan, campaign: Campaign) -> Status:
    return run(campaign, plan.storage, data=plan.source)


def _studies(plan: Plan, campaign: Campaign) -> Mapping[str, Study]:
    with closing(open_storage(locate(plan.storage))) as storage:
        return find_studies(storage, campaign.name)


def _train(plan: Plan, export: Export, final_settings: FinalSettings) -> FinalResult:
    return train(export, final_settings, plan.storage, data=plan.source)[0]


def _portable(status: Status) -> dict[str, Any]:
    """Return the final status of a campaign, without paths of this machine."""
    status_json = status.as_dict()
    return {key: status_json[key] for key in ("campaign", "stages", "winner", "confirm")}


def _accuracies(final: FinalResult | None) -> dict[str, Any]:
    assert final is not None, "a campaign at its end has it"  # noqa: S101
    return {
        "train": list(final.train_accuracies),
        "test": list(final.test_accuracies),
        "ensemble": final.ensemble_accuracy,
    }
