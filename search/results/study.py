"""A stage as an Optuna study: drawing and writing its slots with their provenance, and reading it back."""

import itertools
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from coarsefine.model.datasets import Counts
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.dimension import around
from coarsefine.search.campaign.narrowing import describe, narrow
from coarsefine.search.campaign.network_settings import NEVER_WIDENED
from coarsefine.search.campaign.schema import Stage
from coarsefine.search.campaign.space import Point, Space, draw
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.campaign.winner import Candidate, Verdict, choose_finalists, judge
from coarsefine.search.errors import CampaignError, NothingCompleted
from coarsefine.search.results.dashboard_note import confirm_note, note_attrs, stage_note
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Slot

_SIZES = re.compile(r"([\d,]+)/([\d,]+)/([\d,]+) images")


@dataclass(frozen=True, slots=True)
class Study:
    """A stage's study as it stands in the storage."""

    id: int
    name: str
    attrs: dict[str, Any]
    trials: tuple[FrozenTrial, ...]
    """Its slots. What else somebody put into the study has no seed, and is none of ours."""

    @property
    def space(self) -> Space:
        """Return the ranges the stage draws from."""
        return Space.from_dict(self.attrs["space"])

    @property
    def is_confirm(self) -> bool:
        """Tell whether it is the one in which the finalists are trained again."""
        return "finalists" in self.attrs

    @property
    def images(self) -> Counts | None:
        """Return how many images each part has; None if an objective was searched, or if the study does not say."""
        if "images" in self.attrs:
            return Counts(**self.attrs["images"])
        # Studies of earlier versions hold the numbers in a sentence only, which `coarsefine.model.datasets` wrote.
        found = _SIZES.search(str(self.attrs.get("data", {}).get("description", "")))
        return Counts(*(int(size.replace(",", "")) for size in found.groups())) if found else None

    @property
    def slots(self) -> list[Slot]:
        """Return what was planned."""
        return [Slot(trial.number, point_of(trial), trial.user_attrs["seed"]) for trial in self.trials]

    def count(self, state: TrialState) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state is state for trial in self.trials)

    @property
    def finished(self) -> bool:
        """Tell whether every trial has ended."""
        return all(trial.state.is_finished() for trial in self.trials)

    @property
    def diverged(self) -> int:
        """Return how many trials ended because their numbers left all bounds."""
        return sum("diverged" in trial.user_attrs.get("reason", "") for trial in self._failed)

    @property
    def failed(self) -> int:
        """Return how many trials ended without a value for another reason."""
        return len(self._failed) - self.diverged

    @property
    def _failed(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state is TrialState.FAIL]

    @property
    def endings(self) -> str:
        """Return how trials ended without a value, in words."""
        told = {"diverged": self.diverged, "failed: see their attribute 'reason'": self.failed}
        return ", ".join(f"{count} {how}" for how, count in told.items() if count) or "none ended"

    def best(self, k: int) -> list[FrozenTrial]:
        """Return the k best completed trials, best first; of equal values, the lower number first."""
        completed = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        return sorted(completed, key=lambda trial: (-value_of(trial), trial.number))[:k]


def value_of(trial: FrozenTrial) -> float:
    """Return a completed trial's validation accuracy."""
    assert trial.value is not None, "only completed trials are asked"  # noqa: S101
    return trial.value


def point_of(trial: FrozenTrial) -> Point:
    """Return a trial's point."""
    return Point.of(trial.params)


def find_studies(storage: Storage, campaign: str) -> dict[str, Study]:
    """Return a campaign's studies by their names, in the order they were opened.

    Raises `CampaignError` for a study under the campaign's name that something else made.
    """
    with storage.guarded():
        named = [study for study in storage.get_all_studies() if study.study_name.rpartition("/")[0] == campaign]
        return {frozen.study_name: _read(storage, frozen) for frozen in named}


def _read(storage: Storage, frozen: FrozenStudy) -> Study:
    if not frozen.user_attrs.keys() >= {"config", "stage", "space"}:
        raise CampaignError(
            f"The study {frozen.study_name} in this storage was not made by Coarsefine: "
            "rename the campaign, or give another --storage."
        )
    slots = [t for t in storage.get_all_trials(frozen._study_id, deepcopy=False) if "seed" in t.user_attrs]
    return Study(frozen._study_id, frozen.study_name, frozen.user_attrs, tuple(sorted(slots, key=lambda t: t.number)))


def campaign_of(studies: Mapping[str, Study], read: Callable[[Any], Campaign] = Campaign.model_validate) -> Campaign:
    """Return the campaign that studies store, at least one, read by a method of `Campaign`.

    Raises `CampaignError` if another version of Coarsefine stored it that this one cannot read.
    """
    study = next(iter(studies.values()))
    try:
        return read(study.attrs["config"])
    except ValidationError as error:
        raise CampaignError(
            f"{study.name} was started by another version of Coarsefine: {sentence(error, Campaign)} Use that version, "
            "or start again under another name or --storage."
        ) from error


def campaign_names(storage: Storage) -> list[str]:
    """Return the names of all campaigns in a storage, in the order they were begun."""
    with storage.guarded():
        begun = [study for study in storage.get_all_studies() if "campaign" in study.user_attrs]
    return list(dict.fromkeys(study.user_attrs["campaign"] for study in begun))


def open_study(
    storage: Storage, campaign: Campaign, stage: Stage, parent: Study | None, fingerprint: dict[str, Any]
) -> None:
    """Draw a stage's slots and write its study, unless another process already has.

    Raises `NothingCompleted` where the stage needs its parent's best trials and there are none.
    """
    space, provenance = _space_of(campaign, stage, parent)
    slots, carried = _draw_slots(campaign, stage, space, parent)
    attrs = {
        "id": uuid.uuid4().hex,
        "campaign": campaign.name,
        "stage": stage.name,
        "parent": parent.name if parent else None,
        "space": space.as_dict(),
        **provenance,
        "carried": carried,
        "sampler": stage.sampler,
        **fingerprint,
    }
    note = stage_note(campaign, stage, attrs, parent.id if parent else None)
    storage.open_study(campaign.study_name(stage), attrs, space, slots, note_attrs(note))


def open_confirm(storage: Storage, campaign: Campaign, studies: Sequence[Study], fingerprint: dict[str, Any]) -> None:
    """Write the study in which the finalists are trained again, unless another process already has.

    Slot r·k + i is finalist i of k with seed r: a seed draws the same weights and mini-batches for each of them.
    Raises `NothingCompleted` where no trial of any stage completed.
    """
    assert campaign.confirm is not None, "it is asked for"  # noqa: S101
    bounds = campaign.bounds_of(campaign.stage[0])
    finalists = choose_finalists(_candidates(studies), campaign.confirm.top, campaign.confirm.near, bounds)
    if not finalists:
        endings = "; ".join(f"{study.name}: {study.endings}" for study in studies)
        raise NothingCompleted(
            f"No trial of {campaign.name} completed ({endings}): nothing is left to confirm. {remedy(studies)}"
        )
    seeds = [_seed(campaign, len(campaign.stage), r) for r in range(campaign.confirm.seeds)]
    pairs = itertools.product(seeds, finalists)
    slots = [Slot(number, finalist.point, seed) for number, (seed, finalist) in enumerate(pairs)]
    space = _space_around([finalist.point for finalist in finalists], studies)
    attrs = {
        "id": uuid.uuid4().hex,
        "campaign": campaign.name,
        "stage": campaign.confirm.name,
        "parent": studies[-1].name,
        "space": space.as_dict(),
        "ranges": "the points of the finalists",
        "finalists": [finalist.as_dict() for finalist in finalists],
        **fingerprint,
    }
    note = confirm_note(campaign, finalists, seeds)
    storage.open_study(campaign.study_name(campaign.confirm), attrs, space, slots, note_attrs(note))


def _space_around(points: Sequence[Point], studies: Iterable[Study]) -> Space:
    """Return the least space that holds points of some studies."""
    spaces = [study.space for study in studies]
    return Space.of({name: around([s[name] for s in spaces], [p[name] for p in points]) for name in spaces[0]})


def refuse_empty(studies: Iterable[Study]) -> None:
    """Raise `NothingCompleted` where a stage has ended without one completed trial, as where the user's code is broken.

    With a network that may be the ranges' fault, and another stage may have others.
    """
    for study in studies:
        if study.finished and not study.count(TrialState.COMPLETE):
            raise NothingCompleted(f"No trial of {study.name} completed ({study.endings}). {remedy([study])}")


def remedy(studies: Iterable[Study]) -> str:
    """Return what to do where no trial of these studies completed."""
    ended = [trial for study in studies if "objective" in study.attrs for trial in study.trials]
    reasons = [t.user_attrs["reason"] for t in sorted(ended, key=_ended) if t.user_attrs.get("reason")]
    if reasons:
        return f"The last one: {reasons[-1]}. Fix the objective, then start the campaign under another name."
    return "Lower the upper bound of eta, then start the campaign under another name."


def _ended(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0


def verdict_of(studies: Iterable[Study]) -> Verdict | None:
    """Return the verdict on the finalists, once all of them have been trained again."""
    confirming = next((study for study in studies if study.is_confirm), None)
    if confirming is None or not confirming.finished:
        return None
    finalists = [Candidate.from_dict(form) for form in confirming.attrs["finalists"]]
    values = [trial.value if trial.state is TrialState.COMPLETE else None for trial in confirming.trials]
    k = len(finalists)
    return judge(finalists, [values[place::k] for place in range(k)], confirming.attrs["config"]["seed"])


def _candidates(studies: Iterable[Study]) -> Iterator[Candidate]:
    for study in studies:
        for trial in study.best(len(study.trials)):
            yield Candidate(study.name, trial.number, point_of(trial), value_of(trial))


def _space_of(campaign: Campaign, stage: Stage, parent: Study | None) -> tuple[Space, dict[str, Any]]:
    bounds = campaign.bounds_of(stage)
    if stage.narrow is None or parent is None:
        return bounds, {"ranges": "given by the campaign"}
    winners = _best_of(parent, stage.narrow.top, stage)
    held = NEVER_WIDENED if campaign.objective is None else frozenset()
    narrowed = narrow([point_of(trial) for trial in winners], stage.narrow.rule(), bounds, held)
    return narrowed.space, {
        "ranges": "narrowed from the parent's best trials",
        "narrowed_from": [trial.number for trial in winners],
        "rule": describe(stage.narrow.rule(), bounds),
        "pressed": list(narrowed.pressed),
    }


def _draw_slots(
    campaign: Campaign, stage: Stage, space: Space, parent: Study | None
) -> tuple[list[Slot], list[dict[str, int]]]:
    """Return a stage's slots, and where its carried ones come from.

    Draws are keyed by the slot's number: carrying trials in replaces the first ones and leaves the others as they are.
    """
    index = campaign.stage.index(stage)
    points = draw(space, stage.sampler, stage.trials, np.random.SeedSequence(campaign.seed, spawn_key=(index, 0)))
    best = _best_of(parent, stage.carry, stage) if parent and stage.carry else []
    # A carried point outside the child's ranges would be no trial of this study: Optuna holds trials to their ranges.
    inside = [trial for trial in best if space.contains(point_of(trial))]
    points[: len(inside)] = [point_of(trial) for trial in inside]
    slots = [Slot(number, point, _seed(campaign, index, number)) for number, point in enumerate(points)]
    return slots, [{"number": number, "from": trial.number} for number, trial in enumerate(inside)]


def _seed(campaign: Campaign, index: int, number: int) -> int:
    return int(np.random.SeedSequence(campaign.seed, spawn_key=(index, 1, number)).generate_state(1)[0])


def _best_of(parent: Study, k: int, stage: Stage) -> Sequence[FrozenTrial]:
    best = parent.best(k)
    if not best:
        raise NothingCompleted(
            f"Stage '{stage.name}' cannot open: no trial of {parent.name} completed ({parent.endings}). "
            f"{remedy([parent])}"
        )
    return best
