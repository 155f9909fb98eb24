"""One process's way through the stages of a campaign, from wherever it stands. Any number may walk at once.

Whoever comes to a stage that is not there yet opens it; whoever finds slots trains them; whoever finds none waits for
those who do, and takes over what the dead leave behind. None of them is needed: each can be killed at any moment.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coarsefine.model.datasets import cache_folder
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.schema import AnyStage, Confirm
from coarsefine.search.errors import Interrupted
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.progress import StageProgress
from coarsefine.search.results.status import status_of
from coarsefine.search.results.study import (
    Study,
    campaign_of,
    find_studies,
    open_confirm,
    open_study,
    refuse_empty,
)
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.optuna_storage import Storage, open_storage
from coarsefine.search.storage.slots import Record, Slot
from coarsefine.search.training.checkpoints import Checkpoints
from coarsefine.search.training.identity import fingerprint, refuse_other
from coarsefine.search.training.worker import Worker
from coarsefine.search.training.workload import Workload, load_workload, objective_of

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class StageLoop:
    """What a process needs on its way."""

    campaign: Campaign
    storage: Storage
    workload: Workload
    """What is trained: the network on these images, or this function."""
    attrs: Mapping[str, Any]
    """By which the campaign's studies are known."""
    begun: Mapping[str, Study]
    """Its studies as they stood when this process came."""
    observer: Observer
    stop: Callable[[], bool]
    workers: int = 1
    """How many processes are thought to walk: each stage is cut into as many shares, or a multiple."""

    @classmethod
    def begin(
        cls, campaign: Campaign, storage: Storage, workload: Workload,
        observer: Observer, stop: Callable[[], bool], workers: int = 1,
    ) -> "StageLoop":  # fmt: skip
        """Return a walk; raise `CampaignError` where the storage holds this campaign begun with something else."""
        attrs = fingerprint(campaign, workload)
        begun = find_studies(storage, campaign.name)
        refuse_other(begun, attrs)
        return cls(campaign, storage, workload, attrs, begun, observer, stop, workers)

    def take_stages(self, *, ended: Callable[[AnyStage], None] = lambda _: None) -> None:
        """Take every stage to its end; `ended` hears of each that this process saw end."""
        for stage in self.campaign.stages:
            if self.was_over(stage):
                self.forget_weights(self.begun[self.campaign.study_name(stage)])
                continue
            study, studies = self.open(stage)
            self._take(stage, study, studies)
            ended(stage)
            self.forget_weights(study)

    def forget_weights(self, study: Study) -> None:
        """Remove what is kept on this machine of a stage's unfinished trials: it has ended."""
        self._checkpoints(study).clear()

    def was_over(self, stage: AnyStage) -> bool:
        """Tell whether a stage was at its end when this process came: nothing of it is news."""
        study = self.begun.get(self.campaign.study_name(stage))
        return study is not None and study.finished

    def _take(self, stage: AnyStage, study: Study, studies: Mapping[str, Study]) -> None:
        following = self.follow(stage, study, studies)
        worker = self._worker(stage, following, study)
        worker.work()
        self._wait_for_others(study, following, worker)

    def follow(self, stage: AnyStage, study: Study, studies: Mapping[str, Study]) -> StageProgress:
        """Tell the observer how the campaign stands of which a stage is to be trained; return what follows it."""
        following = StageProgress(self.storage, study, self.campaign, stage, self.begun.get(study.name))
        status = status_of(self.campaign.name, self.storage.location.shown, studies, self.storage.count_training)
        self.observer.on_stage_opened(status, following)
        return following

    def open(self, stage: AnyStage) -> tuple[Study, Mapping[str, Study]]:
        """Return a stage's study, opening it if nobody has, and all of the campaign's by name."""
        name = self.campaign.study_name(stage)
        if name in self.begun:  # read a moment ago, by one that takes another's place and should lose no time
            return self.begun[name], self.begun
        studies = self.studies()
        if name not in studies:
            if self.campaign.objective is not None:
                refuse_empty(studies.values())
            if isinstance(stage, Confirm):
                open_confirm(self.storage, self.campaign, list(studies.values()), dict(self.attrs))
            else:
                parent = self.campaign.parent_of(stage)
                opener = studies[self.campaign.study_name(parent)] if parent else None
                open_study(self.storage, self.campaign, stage, opener, dict(self.attrs))
            studies = self.studies()
        return studies[name], studies

    def studies(self) -> dict[str, Study]:
        """Return the campaign's studies as they stand, by name."""
        return find_studies(self.storage, self.campaign.name)

    def _worker(self, stage: AnyStage, following: StageProgress, study: Study) -> Worker:
        def recorded(records: Sequence[Record]) -> None:
            ended = [record.claim.slot.number for record in records if record.state.is_finished()]
            self.observer.on_recorded(study.name, sum(len(record.steps) for record in records), ended)
            self.observer.on_progress(following)

        confirming = isinstance(stage, Confirm)
        objective = objective_of(
            self.campaign, stage, self.workload, self.stop, log=self.observer.on_detail, warn=self.observer.on_warning
        )

        def widest(slot: Slot) -> int:
            best = objective.width(slot)
            if isinstance(stage, Confirm):  # a seed's finalists are a stack, whoever trains them
                return len(study.attrs["finalists"]) if best > 1 else 1
            return best if stage.stack == "auto" else stage.stack

        return Worker(
            storage=self.storage,
            study_id=study.id,
            objective=objective,
            slots=study.slots,
            widest=widest,
            workers=1 if confirming else self.workers,
            halving=self.campaign.halving(stage),
            checkpoints=self._checkpoints(study),
            stop=self.stop,
            claimed=lambda numbers: self.observer.on_claimed(study.name, numbers),
            resumed=lambda numbers, epoch: self.observer.on_resumed(study.name, numbers, epoch),
            recorded=recorded,
        )

    def _checkpoints(self, study: Study) -> Checkpoints:
        return Checkpoints.of(study.attrs.get("id", ""), cache_folder(), self.observer.on_warning)

    def _wait_for_others(self, study: Study, following: StageProgress, worker: Worker) -> None:
        said = False
        while left := self.storage.count_unfinished(study.id):
            if not said:
                self.observer.on_message(f"Another process trains {left} slots of {study.name}: waiting for it.")
                said = True
            if self.stop():
                raise Interrupted("Stopped while another process trains.")
            time.sleep(_POLL_SECONDS)
            self.observer.on_progress(following)
            worker.work()
        self.observer.on_progress(following)


def join(
    campaign: Campaign,
    storage: str | Path | Location,
    *,
    data: Path | None = None,
    workers: int = 2,
    observer: Observer | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Help a campaign through its stages, beside whoever else does; return when the last has ended.

    `workers` is how many are thought to train.

    Raises what `coarsefine.search.engine.run` does.
    """
    observer = observer or Observer()
    workload = load_workload(campaign, data, observer.on_message)
    with closing(open_storage(locate(storage), writing=True, patient=True)) as opened:
        StageLoop.begin(campaign, opened, workload, observer, stop, workers).take_stages()


def find_campaign(source: str, location: Location) -> Campaign:
    """Return the campaign of that name in the storage, as it was begun there; else a preset or a campaign file.

    Raises what `Campaign.load` does.
    """
    with closing(open_storage(location)) as storage:
        studies = find_studies(storage, source)
    if studies:
        return campaign_of(studies)
    return Campaign.load(source)
