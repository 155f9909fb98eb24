"""What a report tells, read from the storage alone: how the campaign stands, and how sure one can be of each number."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.accuracy import Accuracy, expected_highest
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.schema import Stage
from coarsefine.search.campaign.space import Space
from coarsefine.search.errors import CampaignError
from coarsefine.search.network.recorded_checks import GRADIENT_CHECK, MOMENTUM
from coarsefine.search.report.importance import Importance, importance_in
from coarsefine.search.report.published_values import Reported, reported_for
from coarsefine.search.results.status import StageStatus, Status, Trial, read_studies, status_of
from coarsefine.search.results.study import Study, campaign_of, point_of, value_of
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage

_SIZES = re.compile(r"([\d,]+)/([\d,]+)/([\d,]+) images")


@dataclass(frozen=True, slots=True)
class Images:
    """How many images each part has."""

    train: int
    validation: int
    test: int

    @classmethod
    def of(cls, study: Study) -> "Images | None":
        """Read them from what a study says of its data; None where a function of the user's was searched."""
        if "data" not in study.attrs:
            return None
        described = str(study.attrs["data"]["description"])
        found = _SIZES.search(described)
        if found is None:
            raise CampaignError(f"{study.name} does not say how many images it used: its data is '{described}'.")
        return cls(*(int(size.replace(",", "")) for size in found.groups()))


@dataclass(frozen=True, slots=True)
class StageStory:
    """A stage: planned, or as it went."""

    place: int
    plan: Stage
    epochs: int
    status: StageStatus
    study: Study | None
    images: Images | None

    @property
    def best(self) -> list[tuple[Trial, Accuracy]]:
        """Return the best trials with what their accuracy is worth."""
        return [(trial, _accuracy(trial.value, self.images)) for trial in self.status.best]

    @property
    def trials(self) -> Sequence[FrozenTrial]:
        """Return its slots."""
        return self.study.trials if self.study else ()

    @property
    def epochs_trained(self) -> int:
        """Return how many epochs were trained in all."""
        return sum(len(trial.intermediate_values) for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Return how long at least one of its trials, of those that ended, was in training."""
        return _covered(
            (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
            for trial in self.trials
            if trial.datetime_start and trial.datetime_complete
        )

    @property
    def failed(self) -> list[FrozenTrial]:
        """Return the trials that ended without a value, the lowest η first: there the edge of stability begins."""
        failed = [trial for trial in self.trials if trial.state is TrialState.FAIL]
        return sorted(failed, key=lambda trial: point_of(trial).get("eta", 0.0))

    def trial(self, number: int) -> FrozenTrial:
        """Return one of its trials."""
        return next(trial for trial in self.trials if trial.number == number)


@dataclass(frozen=True, slots=True)
class Again:
    """A parent's best point, trained again on a fresh seed: what is left of an accuracy that was chosen."""

    number: int
    parent_number: int
    before: Accuracy
    after: Accuracy | None
    """None where the trial has not completed."""


@dataclass(frozen=True, slots=True)
class Story:
    """All that a report tells."""

    campaign: Campaign
    location: Location
    status: Status
    images: Images | None
    """None where a function of the user's was searched: then nothing is an accuracy."""
    stages: tuple[StageStory, ...]
    attrs: Mapping[str, Any]
    """Of the first study."""
    reported: Reported | None
    importances: tuple[Importance | str, ...]

    @property
    def searched(self) -> Space:
        """Return what is searched, in the ranges of the first stage."""
        return self.campaign.bounds_of(self.campaign.stage[0])

    @property
    def confirm(self) -> StageStatus | None:
        """Return how the training of the finalists stands, where the campaign has such."""
        return self.status.stages[-1] if self.campaign.confirm else None

    @property
    def studies(self) -> list[Study]:
        """Return the studies that are there, in the order of the stages."""
        return [stage.study for stage in self.stages if stage.study]

    @property
    def gradient_check(self) -> Mapping[str, Any] | None:
        """Return the gradient check, if one was recorded."""
        return self.attrs.get(GRADIENT_CHECK)

    @property
    def momentum(self) -> Mapping[str, Any] | None:
        """Return the momentum study, if one was recorded."""
        return self.attrs.get(MOMENTUM)

    @property
    def ended(self) -> int:
        """Return how many trials have ended."""
        return sum(trial.state.is_finished() for stage in self.stages for trial in stage.trials)

    @property
    def planned(self) -> int:
        """Return how many trials the campaign has."""
        return sum(stage.status.trials for stage in self.stages)

    @property
    def winner(self) -> Accuracy | None:
        """Return what the winner's validation accuracy is worth, its choice left aside."""
        winner = self.status.winner
        return _accuracy(winner.trial.value, self.images) if winner and self.images else None

    @property
    def optimism(self) -> float:
        """Return how far the highest of as many equally good trials would lie above the truth, at most."""
        winner = self.status.winner
        return expected_highest(winner.chosen_from) * self.winner.standard_error if winner and self.winner else 0.0

    @property
    def rivals(self) -> int:
        """Return how many other trials lie within two standard errors of a difference below the winner."""
        if self.winner is None:
            return 0
        near = self.winner.share - self.too_close
        values = [value_of(t) for stage in self.stages for t in stage.trials if t.state is TrialState.COMPLETE]
        return sum(value >= near for value in values) - 1

    @property
    def too_close(self) -> float:
        """Return two standard errors of the difference between the winner and another trial of its accuracy."""
        return 2 * 2**0.5 * self.winner.standard_error if self.winner else 0.0

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of what the campaign is known by: settings, data or objective, versions."""
        known = {key: self.attrs[key] for key in ("config", "data", "objective", "versions") if key in self.attrs}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def parent_of(self, stage: StageStory) -> StageStory | None:
        """Return the stage that another one comes from."""
        return next((s for s in self.stages if s.status.study == stage.status.parent), None)

    def again(self, stage: StageStory) -> list[Again]:
        """Return the parent's best points that a stage trained again."""
        parent = self.parent_of(stage)
        carried = stage.status.attrs.get("carried", [])
        if parent is None:
            return []
        return [_again(stage, parent, pair["number"], pair["from"]) for pair in carried]


def read_story(storage: Storage, name: str | None) -> Story:
    """Return the story of a campaign; of the only one in the storage where none is named.

    Raises `UsageError` for a campaign that the storage does not hold, `CampaignError` for one that is none of ours.
    """
    name, studies = read_studies(storage, name)
    status = status_of(name, storage.location.shown, studies, storage.queries.count_training)
    first = next(iter(studies.values()))
    campaign, images = campaign_of(studies), Images.of(first)
    stages = tuple(
        StageStory(place, plan, campaign.epochs_of(plan), stage, studies.get(stage.study), images)
        for place, (plan, stage) in enumerate(zip(campaign.stage, status.stages, strict=False))  # finalists come last
    )
    # What matters is told of the network's η and λ.
    importances = tuple(importance_in(stage.study) for stage in stages if stage.study and images)
    return Story(campaign, storage.location, status, images, stages, first.attrs, reported_for(campaign), importances)


def _again(stage: StageStory, parent: StageStory, number: int, parent_number: int) -> Again:
    ours, theirs = stage.trial(number), parent.trial(parent_number)
    after = _accuracy(value_of(ours), stage.images) if ours.state is TrialState.COMPLETE else None
    return Again(number, parent_number, _accuracy(value_of(theirs), stage.images), after)


def _accuracy(share: float, images: Images | None) -> Accuracy:
    assert images is not None, "accuracies are of images"  # noqa: S101
    return Accuracy(share, images.validation)


def _covered(spans: Any) -> float:
    """Return how much time the spans cover together."""
    covered, until = 0.0, float("-inf")
    for begun, ended in sorted(spans):
        covered += max(0.0, ended - max(begun, until))
        until = max(until, ended)
    return covered
