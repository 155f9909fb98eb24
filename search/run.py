"""Walks a campaign to its end, from wherever it stands: stage after stage, then the final training."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from model import Report
from model.datasets import Dataset
from search.campaign import Campaign, Stage
from search.database import Location, locate
from search.errors import Interrupted, NothingCompleted, StorageError
from search.final import train_winner
from search.fingerprint import fingerprint, refuse_other
from search.images import check_batch, load_images
from search.objective import NetworkObjective
from search.slot import Record
from search.status import StageStatus, Status, find_winner, read_final, read_status
from search.storage import Storage, is_there, make_storage, open_storage
from search.study import Study, find_studies, open_study
from search.worker import Worker

_POLL_SECONDS = 0.5


class Watcher:
    """Hears how a run goes, and keeps it to itself; a subclass may tell."""

    def say(self, sentence: str) -> None:
        """Hear something worth telling."""

    def stage_opened(self, stage: StageStatus, epochs: int) -> None:
        """Hear that a stage is to be trained."""

    def recorded(self, records: list[Record]) -> None:
        """Hear what slots did since the last time."""

    def final_epoch(self, report: Report, epochs: int) -> None:
        """Hear of an epoch of the final training."""


def run(
    campaign: Campaign,
    storage: str | Path | Location = "studies.db",
    *,
    data: Path | None = None,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Take a campaign to its end and return how it stands; begin it, or resume it where it was left.

    `storage` is a SQLite file, or the URL of one or of a PostgreSQL database. `data` is the archive or folder of the
    images, for campaigns that do not bring their own. `stop` is asked after every epoch; once it is true, slots go
    back and `Interrupted` is raised.

    Raises `CampaignError` (2), `NothingCompleted` (3), `model.errors.DataError` (4), `StorageError` (5): the exit codes
    of the command line. Nothing is created before campaign, data and storage were found fit.
    """
    watcher = watcher or Watcher()
    location = locate(storage)
    if _is_done(campaign, location):
        return _status(location, campaign)
    images = load_images(campaign.data, data, watcher.say)
    check_batch(campaign.model.batch, images)
    attrs = fingerprint(campaign, images)
    opened = make_storage(location)
    try:
        refuse_other(find_studies(opened, campaign.name), attrs)
        walk = _Walk(campaign, opened, images, attrs, watcher, stop)
        for stage in campaign.stage:
            walk.take(stage)
        walk.train_winner()
        return read_status(opened, campaign.name)
    finally:
        opened.close()


def _is_done(campaign: Campaign, location: Location) -> bool:
    """Tell whether nothing is left to do; data and versions need not be at hand any more for that."""
    if not is_there(location):
        return False
    storage = open_storage(location)
    try:
        studies = find_studies(storage, campaign.name)
        refuse_other(studies, {"config": campaign.fingerprint()})
        return read_final(studies) is not None
    finally:
        storage.close()


def _status(location: Location, campaign: Campaign) -> Status:
    storage = open_storage(location)
    try:
        return read_status(storage, campaign.name)
    finally:
        storage.close()


@dataclass(frozen=True, slots=True)
class _Walk:
    """One run's way through a campaign."""

    campaign: Campaign
    storage: Storage
    data: Dataset
    attrs: Mapping[str, Any]
    watcher: Watcher
    stop: Callable[[], bool]

    def take(self, stage: Stage) -> None:
        """Take one stage to its end."""
        study = self._opened(stage)
        if study.finished:
            return
        self.watcher.stage_opened(self._told(stage), self.campaign.settings(stage).epochs)
        self._worker(stage, study).work()
        self._wait_for_others(stage, study)
        self._back_up(stage)

    def train_winner(self) -> None:
        """Train the best trial of all stages to the end, once."""
        studies = find_studies(self.storage, self.campaign.name)
        winner = find_winner(studies)
        if winner is None:
            total = sum(len(study.trials) for study in studies.values())
            raise NothingCompleted(
                f"No trial of {self.campaign.name} completed: all {total} diverged. Lower eta's upper bound, "
                "and start under another name."
            )
        if read_final(studies) is not None:
            return
        trial = studies[winner.study].trials[winner.trial.number]
        final = train_winner(
            self.campaign,
            winner,
            [value for _, value in sorted(trial.intermediate_values.items())],
            self.data,
            self.storage.location.folder / "trained" / f"{self.campaign.name}.npz",
            lambda report: self.watcher.final_epoch(report, self.campaign.final.epochs),
            self.stop,
        )
        last = self.campaign.study_name(self.campaign.stage[-1])
        self.storage.set_study_attrs(studies[last].id, {"final": final.as_dict()})

    def _opened(self, stage: Stage) -> Study:
        studies = find_studies(self.storage, self.campaign.name)
        name = self.campaign.study_name(stage)
        if name not in studies:
            parent = self.campaign.parent_of(stage)
            opener = studies[self.campaign.study_name(parent)] if parent else None
            open_study(self.storage, self.campaign, stage, opener, dict(self.attrs))
            studies = find_studies(self.storage, self.campaign.name)
        return studies[name]

    def _worker(self, stage: Stage, study: Study) -> Worker:
        model = self.campaign.model
        objective = NetworkObjective(self.campaign.settings(stage), model.rho, model.decay, self.data)
        return Worker(
            self.storage, study.id, objective, len(study.trials),
            objective.width() if stage.stack == "auto" else stage.stack,
            self.campaign.halving(stage), self.stop, self.watcher.recorded,
        )  # fmt: skip

    def _wait_for_others(self, stage: Stage, study: Study) -> None:
        """Wait for slots that another process holds; take over what it leaves behind."""
        said = False
        while left := self._left(study):
            if not said:
                self.watcher.say(f"Another process trains {left} slots of {study.name}: waiting for it.")
                said = True
            if self.stop():
                raise Interrupted("Stopped while another process trains.")
            time.sleep(_POLL_SECONDS)
            self._worker(stage, study).work()

    def _left(self, study: Study) -> int:
        with self.storage.guarded():
            unfinished = (TrialState.RUNNING, TrialState.WAITING)
            return len(self.storage.get_all_trials(study.id, deepcopy=False, states=unfinished))

    def _back_up(self, stage: Stage) -> None:
        """Copy the studies; for want of room nobody stops training."""
        try:
            self.storage.back_up(f"{self.campaign.name}+{stage.name}")
        except StorageError as error:
            self.watcher.say(f"There is no backup of stage {stage.name}. {error}")

    def _told(self, stage: Stage) -> StageStatus:
        status = read_status(self.storage, self.campaign.name)
        return next(s for s in status.stages if s.name == stage.name)
