"""One process's way through the stages of a campaign, from wherever it stands. Any number may walk at once.

Whoever comes to a stage that is not there yet opens it; whoever finds slots trains them; whoever finds none waits for
those who do, and takes over what the dead leave behind. None of them is needed: each can be killed at any moment.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.datasets import Dataset, Kept, cache_folder
from search.campaign import Campaign, Confirm, Step
from search.checkpoints import Checkpoints
from search.database import Location, locate
from search.errors import Interrupted
from search.fingerprint import fingerprint, refuse_other
from search.images import check_batch, load_images
from search.objective import NetworkObjective
from search.progress import Following
from search.slot import Record
from search.status import read_status
from search.storage import Storage, open_storage
from search.study import Study, find_studies, open_confirm, open_study
from search.watcher import Watcher
from search.worker import Worker

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Walk:
    """What a process needs on its way."""

    campaign: Campaign
    storage: Storage
    data: Dataset
    attrs: Mapping[str, Any]
    """By which the campaign's studies are known."""
    begun: Mapping[str, Study]
    """Its studies as they stood when this process came."""
    watcher: Watcher
    stop: Callable[[], bool]
    workers: int = 1
    """How many processes are thought to walk: each stage is cut into as many shares, or a multiple."""

    @classmethod
    def begin(
        cls, campaign: Campaign, storage: Storage, data: Dataset,
        watcher: Watcher, stop: Callable[[], bool], workers: int = 1,
    ) -> "Walk":  # fmt: skip
        """Return a walk; raise `CampaignError` where the storage holds this campaign begun with something else."""
        attrs = fingerprint(campaign, data)
        begun = find_studies(storage, campaign.name)
        refuse_other(begun, attrs)
        return cls(campaign, storage, data, attrs, begun, watcher, stop, workers)

    def take_stages(self, *, ended: Callable[[Step], None] = lambda _: None) -> None:
        """Take every stage to its end; `ended` hears of each that this process saw end."""
        for stage in self.campaign.steps:
            if self.was_over(stage):
                self.forget_weights(self.begun[self.campaign.study_name(stage)])
                continue
            study = self.open(stage)
            self._take(stage, study)
            ended(stage)
            self.forget_weights(study)

    def forget_weights(self, study: Study) -> None:
        """Remove what is kept on this machine of a stage's unfinished trials: it has ended."""
        self._checkpoints(study).clear()

    def was_over(self, stage: Step) -> bool:
        """Tell whether a stage was at its end when this process came: nothing of it is news."""
        study = self.begun.get(self.campaign.study_name(stage))
        return study is not None and study.finished

    def _take(self, stage: Step, study: Study) -> None:
        following = self.follow(stage, study)
        worker = self._worker(stage, following, study)
        worker.work()
        self._wait_for_others(study, following, worker)

    def follow(self, stage: Step, study: Study) -> Following:
        """Tell the watcher how the campaign stands of which a stage is to be trained; return what follows it."""
        following = Following(self.storage, study, self.campaign, stage, self.begun.get(study.name))
        self.watcher.stage_opened(read_status(self.storage, self.campaign.name), following)
        return following

    def open(self, stage: Step) -> Study:
        """Return a stage's study, opening it if nobody has."""
        studies = self.studies()
        name = self.campaign.study_name(stage)
        if name not in studies:
            if isinstance(stage, Confirm):
                open_confirm(self.storage, self.campaign, list(studies.values()), dict(self.attrs))
            else:
                parent = self.campaign.parent_of(stage)
                opener = studies[self.campaign.study_name(parent)] if parent else None
                open_study(self.storage, self.campaign, stage, opener, dict(self.attrs))
            studies = self.studies()
        return studies[name]

    def studies(self) -> dict[str, Study]:
        """Return the campaign's studies as they stand, by name."""
        return find_studies(self.storage, self.campaign.name)

    def _worker(self, stage: Step, following: Following, study: Study) -> Worker:
        def recorded(records: Sequence[Record]) -> None:
            ended = [record.claim.slot.number for record in records if record.state.is_finished()]
            self.watcher.recorded(study.name, sum(len(record.steps) for record in records), ended)
            self.watcher.progressed(following)

        model = self.campaign.model
        settings = self.campaign.settings(stage)
        if isinstance(stage, Confirm):
            objective = NetworkObjective(settings, model.rho, model.decay, self.data, own_order=True)
            stack, workers = len(study.attrs["finalists"]), 1  # a seed's finalists are a stack, whoever trains them
        else:
            objective = NetworkObjective(settings, model.rho, model.decay, self.data)
            stack = objective.width() if stage.stack == "auto" else stage.stack
            workers = self.workers
        return Worker(
            storage=self.storage,
            study_id=study.id,
            objective=objective,
            trials=len(study.trials),
            stack=stack,
            workers=workers,
            halving=self.campaign.halving(stage),
            checkpoints=self._checkpoints(study),
            stop=self.stop,
            claimed=lambda numbers: self.watcher.claimed(study.name, numbers),
            resumed=lambda numbers, epoch: self.watcher.resumed(study.name, numbers, epoch),
            recorded=recorded,
        )

    def _checkpoints(self, study: Study) -> Checkpoints:
        return Checkpoints.of(study.attrs.get("id", ""), cache_folder(), self.watcher.warn)

    def _wait_for_others(self, study: Study, following: Following, worker: Worker) -> None:
        said = False
        while left := self.storage.unfinished(study.id):
            if not said:
                self.watcher.say(f"Another process trains {left} slots of {study.name}: waiting for it.")
                said = True
            if self.stop():
                raise Interrupted("Stopped while another process trains.")
            time.sleep(_POLL_SECONDS)
            self.watcher.progressed(following)
            worker.work()
        self.watcher.progressed(following)


def join(
    campaign: Campaign,
    storage: str | Path | Location,
    *,
    data: Path | None = None,
    kept: Kept | None = None,
    workers: int = 2,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Help a campaign through its stages, beside whoever else does; return when the last has ended.

    `kept` is where another process on this machine has the images; `workers` is how many are thought to train.

    Raises what `search.run` does.
    """
    watcher = watcher or Watcher()
    images = load_images(campaign.data, data, watcher.say, kept)
    check_batch(campaign.model.batch, images)
    opened = open_storage(locate(storage), writing=True, patient=True)
    try:
        Walk.begin(campaign, opened, images, watcher, stop, workers).take_stages()
    finally:
        opened.close()


def find_campaign(source: str, location: Location) -> Campaign:
    """Return the campaign of that name in the storage, as it was begun there; else a preset or a campaign file.

    Raises what `Campaign.load` does.
    """
    storage = open_storage(location)
    try:
        studies = find_studies(storage, source)
    finally:
        storage.close()
    if studies:
        return Campaign.model_validate(next(iter(studies.values())).attrs["config"])
    return Campaign.load(source)
