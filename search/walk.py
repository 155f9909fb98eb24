"""One process's way through the stages of a campaign, from wherever it stands. Any number may walk at once.

Whoever comes to a stage that is not there yet opens it; whoever finds slots trains them; whoever finds none waits for
those who do, and takes over what the dead leave behind. None of them is needed: each can be killed at any moment.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model import Report
from model.datasets import Dataset, Kept, cache_folder
from search.campaign import Campaign, Confirm, Step
from search.checkpoints import Checkpoints
from search.database import Location, locate
from search.errors import Interrupted
from search.fingerprint import fingerprint, refuse_other
from search.images import check_batch, load_images
from search.objective import NetworkObjective
from search.status import StageStatus, read_status
from search.storage import Progress, Storage, open_storage
from search.study import Study, find_studies, open_confirm, open_study
from search.worker import Worker

_POLL_SECONDS = 0.5


class Watcher:
    """Hears how a run goes, and keeps it to itself; a subclass may tell."""

    def say(self, sentence: str) -> None:
        """Hear something worth telling."""

    def warn(self, sentence: str) -> None:
        """Hear of something that should be mended, though the run goes on."""
        self.say(sentence)

    def stage_opened(self, stage: StageStatus, epochs: int) -> None:
        """Hear that a stage is to be trained."""

    def claimed(self, stage: str, numbers: list[int]) -> None:
        """Hear which slots this process trains next."""

    def resumed(self, stage: str, numbers: list[int], epoch: int) -> None:
        """Hear which of them another process left after an epoch, and go on from there."""

    def progressed(self, progress: Progress) -> None:
        """Hear how far a stage has come, whoever trains it."""

    def final_epoch(self, report: Report, epochs: int) -> None:
        """Hear of an epoch of the final training."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a process needs on its way."""

    campaign: Campaign
    storage: Storage
    data: Dataset
    attrs: Mapping[str, Any]
    """By which the campaign's studies are known."""
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
        refuse_other(find_studies(storage, campaign.name), attrs)
        return cls(campaign, storage, data, attrs, watcher, stop, workers)

    def take_stages(self, *, ended: Callable[[Step], None] = lambda _: None) -> None:
        """Take every stage to its end; `ended` hears of each that this process saw end."""
        for stage in self.campaign.steps:
            if not self.open(stage).finished:
                self._take(stage)
                ended(stage)
            self.forget_weights(stage)

    def forget_weights(self, stage: Step) -> None:
        """Remove what is kept on this machine of a stage's unfinished trials: it has ended."""
        self._checkpoints(self.open(stage)).clear()

    def _take(self, stage: Step) -> None:
        study = self.open(stage)
        self.tell_opened(stage)
        worker = self._worker(stage, study)
        worker.work()
        self._wait_for_others(study, worker)

    def tell_opened(self, stage: Step) -> None:
        """Tell the watcher how a stage stands that is to be trained."""
        status = read_status(self.storage, self.campaign.name)
        standing = next(s for s in status.stages if s.name == stage.name)
        self.watcher.stage_opened(standing, self.campaign.epochs_of(stage))

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

    def _worker(self, stage: Step, study: Study) -> Worker:
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
            recorded=lambda: self.watcher.progressed(self.storage.progress(study.id)),
        )

    def _checkpoints(self, study: Study) -> Checkpoints:
        return Checkpoints.of(study.attrs.get("id", ""), cache_folder(), self.watcher.warn)

    def _wait_for_others(self, study: Study, worker: Worker) -> None:
        said = False
        while left := self.storage.unfinished(study.id):
            if not said:
                self.watcher.say(f"Another process trains {left} slots of {study.name}: waiting for it.")
                said = True
            if self.stop():
                raise Interrupted("Stopped while another process trains.")
            time.sleep(_POLL_SECONDS)
            worker.work()


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
