"""What a report shows, read from the storage: the state of the campaign, and the uncertainty of its numbers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from coarsefine.model.datasets import Counts
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.metric import Accuracy, expected_highest
from coarsefine.search.campaign.sections import AnyStage
from coarsefine.search.campaign.space import Space
from coarsefine.search.charts import seconds_in_training
from coarsefine.search.errors import CampaignError
from coarsefine.search.network.recorded_checks import GRADIENT_CHECK, MOMENTUM
from coarsefine.search.report.importance import Importance, importance_in
from coarsefine.search.report.published_values import PublishedValues, published_values_for
from coarsefine.search.results.campaign_studies import campaign_of
from coarsefine.search.results.readable_studies import read_readable_studies
from coarsefine.search.results.status import StageStatus, Status, Trial
from coarsefine.search.results.status_reading import status_of
from coarsefine.search.results.study import Study, point_of, value_of
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage


@dataclass(frozen=True, slots=True)
class StageContent:
    """A stage, planned or opened."""

    index: int
    plan: AnyStage
    epochs: int
    status: StageStatus
    study: Study | None
    """None until the stage opens."""
    images: Counts | None

    @property
    def best(self) -> list[tuple[Trial, Accuracy]]:
        """Return the best trials with their accuracies."""
        return [(trial, _accuracy(trial.value, self.images)) for trial in self.status.best]

    @property
    def trials(self) -> Sequence[FrozenTrial]:
        """Return all trials, in the order of their numbers."""
        return self.study.trials if self.study else ()

    @property
    def epochs_trained(self) -> int:
        """Return the number of epochs trained in all."""
        return sum(len(trial.intermediate_values) for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Return the time during which at least one of the trials that have ended was in training."""
        return seconds_in_training([self.study]) if self.study else 0.0

    @property
    def failed(self) -> list[FrozenTrial]:
        """Return the trials without a value, the lowest η first, which shows where training becomes unstable."""
        failed = [trial for trial in self.trials if trial.state is TrialState.FAIL]
        return sorted(failed, key=lambda trial: point_of(trial).get("eta", 0.0))

    def trial(self, number: int) -> FrozenTrial:
        """Return a trial by its number."""
        return next(trial for trial in self.trials if trial.number == number)


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that a report shows."""

    campaign: Campaign
    location: Location
    status: Status
    images: Counts | None
    """None if the campaign searches a user's function, whose values are not accuracies."""
    stages: tuple[StageContent, ...]
    """The stages that search."""
    retraining: tuple[StageContent, ...]
    """The stages that train the finalists or, of user code, the winner again."""
    attrs: Mapping[str, Any]
    """User attributes of the first study."""
    published: PublishedValues | None
    importances: tuple[Importance, ...]
    """The importance of a network's hyperparameters in each stage that has enough trials."""
    no_importance: tuple[str, ...]
    """A sentence for each other stage that has opened: why its importance cannot be computed."""

    @property
    def searched(self) -> Space:
        """Return the space of the first stage."""
        return self.campaign.bounds_of(self.campaign.stage[0])

    @property
    def confirm(self) -> StageStatus | None:
        """Return the state of the finalists' training, or None if the campaign has no finalists."""
        return self.status.stages[len(self.campaign.stage)] if self.campaign.confirm else None

    @property
    def studies(self) -> list[Study]:
        """Return the existing studies, in the order of the stages."""
        return [stage.study for stage in (*self.stages, *self.retraining) if stage.study]

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
        """Return the number of trials that have ended, in all stages."""
        return sum(stage.trials - stage.running - stage.waiting for stage in self.status.stages)

    @property
    def planned(self) -> int:
        """Return the number of trials that the campaign plans, in all stages."""
        return sum(stage.trials for stage in self.status.stages)

    @property
    def seconds(self) -> float:
        """Return the time during which something was in training, the final training included."""
        final = self.status.final
        return seconds_in_training(self.studies) + (final.seconds if final else 0.0)

    @property
    def winner(self) -> Accuracy | None:
        """Return the winner's validation accuracy. Its standard error does not include that it was the highest."""
        winner = self.status.winner
        return _accuracy(winner.value, self.images) if winner and self.images else None

    @property
    def optimism(self) -> float:
        """Return how far the highest of as many equally good trials is expected above their true accuracy, at most."""
        winner = self.status.winner
        return expected_highest(winner.chosen_from) * self.winner.standard_error if winner and self.winner else 0.0

    @property
    def rivals(self) -> int:
        """Return the number of other trials within two standard errors of a difference from the winner."""
        if self.winner is None:
            return 0
        near = self.winner.share - self.two_errors
        values = [value_of(t) for stage in self.stages for t in stage.trials if t.state is TrialState.COMPLETE]
        return sum(value >= near for value in values) - 1

    @property
    def two_errors(self) -> float:
        """Return two standard errors of the difference between two trials of the winner's accuracy."""
        return 2 * 2**0.5 * self.winner.standard_error if self.winner else 0.0

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of what identifies the campaign: settings, data or objective, and versions."""
        known = {key: self.attrs[key] for key in ("config", "data", "objective", "versions") if key in self.attrs}
        if "objective" in known:  # its digest stands for its source
            known["objective"] = {key: known["objective"][key] for key in ("name", "digest")}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def retrained(self, stage: StageContent) -> list[dict[str, Any]]:
        """Return the parent's best points that the stage trained again, with their accuracies there and here.

        They show how optimistic the parent's values were. An accuracy is None if the trial has not completed.
        """
        parents = [parent for parent in self.stages if parent.status.study == stage.status.parent]
        carried = stage.status.attrs.get("carried", [])
        pairs = [(stage.trial(p["number"]), parent.trial(p["from"])) for parent in parents for p in carried]
        return [
            {
                "number": trial.number,
                "parent_number": parent_trial.number,
                "before": _accuracy(value_of(parent_trial), self.images),
                "after": _accuracy(value_of(trial), self.images) if trial.state is TrialState.COMPLETE else None,
            }
            for trial, parent_trial in pairs
        ]


def read_content(storage: Storage, name: str | None) -> Content:
    """Return the content of a campaign's report, by default of the only campaign in the storage.

    Raises `UsageError` if the storage does not hold the campaign, and `CampaignError` if its study cannot be read.
    """
    readable = read_readable_studies(storage, name)
    name, studies = readable.name, readable.studies
    status = status_of(storage, name, studies, readable.notes)
    first = next(iter(studies.values()))
    campaign, images = campaign_of(studies, to_read=True), first.images
    if images is None and "data" in first.attrs:
        raise CampaignError(f"{first.name} does not say how many images it used: its data is {first.attrs['data']}.")
    every = [
        StageContent(index, plan, campaign.epochs_of(plan), stage, studies.get(stage.study), images)
        for index, (plan, stage) in enumerate(zip(campaign.stages, status.stages, strict=True))
    ]
    stages, retraining = tuple(every[: len(campaign.stage)]), tuple(every[len(campaign.stage) :])
    found = [importance_in(stage.study) for stage in stages if images and stage.study]
    return Content(
        campaign, storage.location, status, images, stages, retraining, first.attrs, published_values_for(campaign),
        importances=tuple(one for one in found if isinstance(one, Importance)),
        no_importance=tuple(reason for reason in found if isinstance(reason, str)),
    )  # fmt: skip


def _accuracy(share: float, images: Counts | None) -> Accuracy:
    assert images is not None, "accuracies are of images"  # noqa: S101
    return Accuracy(share, images.validation)
