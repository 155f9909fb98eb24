"""Runs a campaign to its end, from wherever it stands: stage after stage, then the final training."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search.campaign import Campaign, Stage
from search.errors import Interrupted, NothingCompleted
from search.final import train_winner
from search.fingerprint import refuse_other
from search.images import check_batch, load_images
from search.pool import Pool, Task
from search.status import Status, find_winner, read_final, read_status
from search.storage import make_storage, open_storage
from search.study import find_studies
from search.walk import Walk, Watcher

_LOOK_SECONDS = 0.25
"""Between looks at how far the workers have come."""


def run(
    campaign: Campaign,
    storage: Path = Path("studies.db"),
    *,
    data: Path | None = None,
    workers: int = 1,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Take a campaign to its end and return how it stands; begin it, or resume it where it was left.

    `data` is the archive or folder of the images, for campaigns that do not bring their own. One worker is this
    process; more are processes of their own. `stop` is asked after every epoch; once it is true, slots go back and
    `Interrupted` is raised.

    Raises `CampaignError` (2), `NothingCompleted` (3), `model.errors.DataError` (4), `StorageError` (5): the exit codes
    of the command line. Nothing is created before campaign, data and storage were found fit.
    """
    watcher = watcher or Watcher()
    path = storage.absolute()
    if _is_done(campaign, path):
        return _status(path, campaign)
    images = load_images(campaign.data, data, watcher.say)
    check_batch(campaign.model.batch, images)
    opened = make_storage(path)
    try:
        this = _Run(Walk.begin(campaign, opened, images, watcher, stop), data)
        this.take_stages(workers)
        this.train_winner()
        return read_status(opened, campaign.name)
    finally:
        opened.close()


def _is_done(campaign: Campaign, path: Path) -> bool:
    """Tell whether nothing is left to do; data and versions need not be at hand any more for that."""
    if not path.exists():
        return False
    storage = open_storage(path)
    try:
        studies = find_studies(storage, campaign.name)
        refuse_other(studies, {"config": campaign.fingerprint()})
        return read_final(studies) is not None
    finally:
        storage.close()


def _status(path: Path, campaign: Campaign) -> Status:
    storage = open_storage(path)
    try:
        return read_status(storage, campaign.name)
    finally:
        storage.close()


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a campaign, on a storage that is open."""

    walk: Walk
    source: Path | None
    """Where the user keeps the images."""

    def take_stages(self, workers: int) -> None:
        """Take all stages to their end: in this process, or with so many others."""
        if workers == 1:
            self.walk.take_stages()
            return
        walk = self.walk
        logs = walk.storage.path.parent / "logs" / walk.campaign.name
        task = Task(walk.campaign, walk.storage.path, self.source, walk.data.kept, workers, logs)
        with Pool(task, walk.watcher) as pool:
            for stage in walk.campaign.stage:
                self._watch(stage, pool)

    def _watch(self, stage: Stage, pool: Pool) -> None:
        """Open a stage, and look on until the pool's workers have ended it."""
        study = self.walk.open(stage)
        if study.finished:
            return
        self.walk.tell_opened(stage)
        while self.walk.storage.unfinished(study.id):
            if self.walk.stop():
                raise Interrupted("Stopped while workers train.")
            pool.wait(_LOOK_SECONDS)
            self.walk.watcher.progressed(self.walk.storage.progress(study.id))

    def train_winner(self) -> None:
        """Train the best trial of all stages to the end, once."""
        walk = self.walk
        campaign, storage = walk.campaign, walk.storage
        studies = find_studies(storage, campaign.name)
        winner = find_winner(studies)
        if winner is None:
            total = sum(len(study.trials) for study in studies.values())
            raise NothingCompleted(
                f"No trial of {campaign.name} completed: all {total} diverged. Lower eta's upper bound, "
                "and start under another name."
            )
        if read_final(studies) is not None:
            return
        trial = studies[winner.study].trials[winner.trial.number]
        final = train_winner(
            campaign,
            winner,
            [value for _, value in sorted(trial.intermediate_values.items())],
            walk.data,
            storage.path.parent / "trained" / f"{campaign.name}.npz",
            lambda report: walk.watcher.final_epoch(report, campaign.final.epochs),
            walk.stop,
        )
        last = campaign.study_name(campaign.stage[-1])
        storage.set_study_attrs(studies[last].id, {"final": final.as_dict()})
