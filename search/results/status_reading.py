"""Reading the status of a campaign from its storage."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from optuna.trial import TrialState

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import AnyStage
from coarsefine.search.results.campaign_studies import campaign_of
from coarsefine.search.results.final_result import FinalResult, read_final, read_trainings
from coarsefine.search.results.final_runs import read_final_runs
from coarsefine.search.results.other_programs import notes_with_remedies
from coarsefine.search.results.outcome import find_winner, verdict_of
from coarsefine.search.results.readable_studies import read_readable_studies
from coarsefine.search.results.sources import sources_of, version_changes_of
from coarsefine.search.results.status import StageStatus, State, Status, Trial
from coarsefine.search.results.study import Study
from coarsefine.search.results.trial_files import logs_folder
from coarsefine.search.storage.optuna_storage import Storage

_BEST = 3


def read_status(storage: Storage, name: str | None) -> Status:
    """Return the status of a campaign; without a name, of the only one in the storage.

    What cannot be read is left out and named in its notes. Raises `UsageError` if the storage does not hold that
    campaign, or nothing of it that can be read.
    """
    found = read_readable_studies(storage, name)
    return status_of(storage, found.name, found.studies, found.notes)


def full_status_of(storage: Storage, name: str, studies: Mapping[str, Study]) -> Status:
    """Return the status of a campaign with at least one study, with what to do about what other programs have done."""
    return status_of(
        storage, name, studies, notes_with_remedies(storage, campaign_of(studies, extra="ignore"), studies)
    )


def status_of(storage: Storage, name: str, studies: Mapping[str, Study], notes: Iterable[str] = ()) -> Status:
    """Return the status of a campaign with at least one study; `notes` say what other programs have done to it.

    Raises `CampaignError` if the studies do not hold a campaign.
    """
    campaign = campaign_of(studies, extra="ignore")
    stages = tuple(_stage(storage, f"{name}/{stage.name}", campaign, stage, studies) for stage in campaign.stages)
    final, verdict = read_final(studies), verdict_of(studies.values())
    winner = find_winner(studies, verdict)
    # The final training of an objective is a stage.
    ended = winner is not None and all(stage.finished and stage.completed for stage in stages)
    searched = not campaign.of_network and ended
    return Status(
        campaign=name,
        storage=storage.location.shown,
        state="done" if final is not None or searched else _state(stages),
        seconds=_seconds(studies, final),
        stages=stages,
        winner=winner,
        verdict=verdict,
        final=final,
        trainings=read_trainings(studies),
        sources=sources_of(studies.values()),
        version_changes=version_changes_of(studies.values()),
        final_runs=read_final_runs(studies, campaign.final.epochs) if campaign.final else None,
        metric=campaign.metric,
        notes=tuple(notes),
        logs=logs if (logs := logs_folder(storage.location, name)).is_dir() else None,
    )


def _stage(
    storage: Storage, name: str, campaign: Campaign, planned: AnyStage, studies: Mapping[str, Study]
) -> StageStatus:
    """Return a stage as its study stands; `name` is that of the study in the storage, whatever its settings say."""
    study = studies.get(name, Study(0, name, {}, ()))
    is_open = name in studies
    counts = {
        "completed": study.count(TrialState.COMPLETE),
        "pruned": study.count(TrialState.PRUNED),
        "diverged": study.diverged,
        "failed": study.failed,
        "running": storage.queries.count_training(study.id) if study.count(TrialState.RUNNING) else 0,
    }
    trials = study.planned if is_open else planned.trials
    return StageStatus(
        name=planned.name,
        study=name,
        trials=trials,
        **counts,
        waiting=trials - sum(counts.values()),
        space=study.space if is_open else campaign.planned_space(planned),
        parent=study.attrs.get("parent"),
        best=tuple(Trial.of(trial) for trial in study.best(_BEST)) if study.is_search else (),
        failure=study.failure,
        attrs=study.attrs,
    )


def _state(stages: tuple[StageStatus, ...]) -> State:
    if any(stage.running for stage in stages):
        return "running"
    has_failed = any(not stage.completed and not stage.waiting for stage in stages)
    return "failed" if has_failed else "interrupted"


def _seconds(studies: Mapping[str, Study], final: FinalResult | None) -> float:
    # Optuna's times are local and without a zone, as `timestamp` expects them, and in their order.
    trials = [trial for study in studies.values() for trial in study.trials]
    start = min((trial.datetime_start for trial in trials if trial.datetime_start), default=None)
    end = max((trial.datetime_complete for trial in trials if trial.datetime_complete), default=None)
    ends = [end.timestamp()] if end else []
    if final:
        ends.append(datetime.fromisoformat(final.ended).timestamp())
    return max(ends) - start.timestamp() if start and ends else 0.0
