"""Trains the winner of a finished search once, however many processes run the campaign."""

import time
from collections.abc import Mapping

from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.stage_loop import StageLoop
from coarsefine.search.errors import Interrupted, NothingCompleted, StorageError
from coarsefine.search.network.export import export_trial
from coarsefine.search.network.final_training import FinalTraining
from coarsefine.search.network.training_folder import folder_name
from coarsefine.search.results.final_result import read_final
from coarsefine.search.results.status import find_winner, read_status
from coarsefine.search.results.study import Study, remedy, verdict_of

_POLL_SECONDS = 0.25
"""Seconds between checks whether another process has trained the winner."""


def train_winner(loop: StageLoop) -> None:
    """Train the winner of all stages and record the result; wait if another process is training it.

    Raises `NothingCompleted` if there is no winner, and `Interrupted`.
    """
    study_id = loop.open(loop.campaign.stages[-1])[0].id
    waiting = False
    while read_final(loop.studies()) is None:
        if loop.storage.once.acquire(study_id):
            try:
                _train_and_record(loop, study_id)
            finally:
                loop.storage.once.release(study_id)
            continue
        if not waiting:
            loop.observer.on_message("Another process trains the winner: waiting for it.")
            waiting = True
        if loop.stop():
            raise Interrupted("Stopped while another process trains the winner.")
        time.sleep(_POLL_SECONDS)


def require_winner(campaign: Campaign, studies: Mapping[str, Study]) -> None:
    """Raise `NothingCompleted` if stages that have ended have no winner."""
    verdict = verdict_of(studies.values())
    if find_winner(studies, verdict) is not None:
        return
    if verdict is not None:
        raise NothingCompleted(
            f"{verdict.summary} Lower the upper bound of eta or the number of [confirm] seeds, then start the campaign "
            "under another name."
        )
    failures = "; ".join(f"{study.name}: {study.failures}" for study in studies.values())
    raise NothingCompleted(f"No trial of {campaign.name} completed ({failures}). {remedy(studies.values())}")


def _train_and_record(loop: StageLoop, study_id: int) -> None:
    campaign, observer, studies = loop.campaign, loop.observer, loop.studies()
    if read_final(studies) is not None:  # the process that held the lock before this one has trained the winner
        return
    require_winner(campaign, studies)
    images = loop.workload
    assert isinstance(images, Dataset), "only a network is trained again"  # noqa: S101
    settings, renewed = campaign.final_settings, time.monotonic()

    def on_epoch(epoch: int, accuracy: float | None) -> None:
        nonlocal renewed
        if time.monotonic() > renewed + loop.storage.lease_seconds / 4:
            renewed = time.monotonic()
            if not loop.storage.once.acquire(study_id):
                raise StorageError(
                    "Another process took over the final training while this one was suspended. Run the same command "
                    "again: it waits for that process and shows its result."
                )
        observer.on_final_epoch(epoch, settings.epochs, accuracy)

    observer.on_final_opened(campaign, read_status(loop.storage, campaign.name))
    export = export_trial(studies)
    folder = loop.storage.location.output_folder("trained").absolute() / folder_name(export, settings)
    training = FinalTraining(export, settings, folder, lambda: images, on_epoch, observer.on_warning, loop.stop)
    loop.storage.set_study_attrs(study_id, {"final": training.run().as_attr()})
