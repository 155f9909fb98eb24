"""Putting failed trials of a campaign back, so that the next run trains them: `coarsefine retry`."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from optuna.trial import TrialState
from pydantic import Field

from coarsefine.search.arguments import require
from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.errors import UsageError
from coarsefine.search.results.campaign_studies import campaign_of, read_studies
from coarsefine.search.results.losses import refuse_edited
from coarsefine.search.results.study import Study, is_past_retry
from coarsefine.search.storage.failed_slots import StageRetry
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import check_storage, create_storage
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import has_diverged
from coarsefine.search.storage.tables import OBJECTIVE

_STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "was pruned",
    TrialState.RUNNING: "is in training",
    TrialState.WAITING: "waits already",
}
_TRIES = 3
"""How often a retry is tried while stages are opened."""
TrialName = tuple[str, int]
"""A stage and a trial's number: `coarse#7`."""


@dataclass(frozen=True)
class RetriedStage(JsonForm):
    """The trials of a stage that wait again."""

    name: str
    study: str
    trials: Annotated[tuple[int, ...], Field(description="their numbers")]
    opened: Annotated[
        tuple[str, ...], Field(description="later stages whose ranges, points or finalists follow from this one")
    ]


@dataclass(frozen=True)
class Retried(JsonForm):
    """The trials of a campaign that wait again."""

    campaign: str
    stages: tuple[RetriedStage, ...]
    diverged: Annotated[int, Field(description="trials that diverged and were left as they are")]
    earlier: Annotated[
        int,
        Field(description="failed trials of finalists that were left, since the winner among these is trained again"),
    ]


def retry(
    campaign: str | None = None,
    storage: str | Path | Location = "studies.db",
    *,
    trials: Sequence[TrialName] = (),
    diverged: bool = False,
) -> Retried:
    """Put failed trials of a campaign back, so that the next `run` trains them; return which.

    These are the named `trials`, such as `[("coarse", 7)]`, or else all that failed, with `diverged` also the trials of
    a user's function that diverged. Each keeps its number, point and seed, and why it failed before. Later stages that
    follow from theirs, and a winner that is trained again, stay as they are. The campaign's name may be left out if the
    storage holds no other.

    Raises `UsageError`, and changes nothing, if a trial has not failed, if there is none to retry, if the network's
    winner has been trained, or if trials of finalists are named once the winner is trained again; and `StorageError`.
    """
    require(campaign is None or isinstance(campaign, str), "retry: campaign", campaign, "a campaign's name")
    wanted = 'a list of stages with numbers, such as [("coarse", 7)]'
    require(isinstance(trials, Sequence) and all(map(_is_name, trials)), "retry: trials", trials, wanted)
    location = locate(storage)
    check_storage(location, writing=True)
    with closing(create_storage(location)) as opened:  # one that Optuna copied has no leases yet
        for _ in range(_TRIES):
            if (retried := _try_to_retry(opened, campaign, trials, diverged=diverged)) is not None:
                return retried
    raise UsageError("Other processes are opening the stages of this campaign: try again in a moment.")


def _is_name(trial: object) -> bool:
    match trial:
        case (str(), int()):
            return True
    return False


def _try_to_retry(storage: Storage, name: str | None, trials: Sequence[TrialName], *, diverged: bool) -> Retried | None:
    """Put trials back; return None if the campaign's studies are no longer those that were read."""
    campaign, studies = read_studies(storage, name)
    refuse_edited(storage.location, studies)
    wanted: Mapping[str, Collection[int]]
    wanted = _named(campaign, studies, trials) if trials else _all_failed(studies, diverged=diverged)
    chosen = _undecided(campaign, studies, wanted, named=bool(trials))
    left = 0 if trials or diverged else sum(study.diverged for study in studies.values())
    _refuse_none(campaign, studies, chosen, left)
    stages = tuple(
        RetriedStage(study.attrs["stage"], study.name, tuple(sorted(numbers)), _following(study, studies))
        for study in studies.values()
        if (numbers := chosen.get(study.name))
    )
    retries = [StageRetry(studies[stage.study].id, stage.trials, stage.opened) for stage in stages]
    plan = campaign_of(studies, extra="ignore")
    unopened = {plan.study_name(stage) for stage in plan.stages} - studies.keys()
    earlier = sum(map(len, wanted.values())) - sum(map(len, chosen.values()))
    done = storage.retry(retries, {study.id for study in studies.values()}, unopened)
    return Retried(campaign, stages, left, earlier) if done else None


def _all_failed(studies: Mapping[str, Study], *, diverged: bool) -> dict[str, list[int]]:
    """Return the numbers of the failed trials of each study."""
    return {
        study.name: [
            trial.number
            for trial in study.trials
            if trial.state is TrialState.FAIL
            and (
                (diverged and OBJECTIVE in study.attrs) or not has_diverged(trial.state, trial.user_attrs.get("reason"))
            )
        ]
        for study in studies.values()
    }


def _named(campaign: str, studies: Mapping[str, Study], trials: Sequence[TrialName]) -> dict[str, set[int]]:
    """Return the numbers of named trials by study; raise `UsageError` for one that cannot be retried."""
    chosen: dict[str, set[int]] = {}
    for stage, number in trials:
        name, study = f"{stage}#{number}", studies.get(f"{campaign}/{stage}")
        trial = next((trial for trial in study.trials if trial.number == number), None) if study else None
        if study is None or trial is None:
            known = ", ".join(f"{s.attrs['stage']}#0 to #{len(s.trials) - 1}" for s in studies.values())
            raise UsageError(f"There is no trial {name} in {campaign}: it has {known}.")
        if trial.state is not TrialState.FAIL:
            raise UsageError(f"Trial {name} of {campaign} {_STATES[trial.state]}: only failed trials can be retried.")
        if OBJECTIVE not in study.attrs and has_diverged(trial.state, trial.user_attrs.get("reason")):
            raise UsageError(
                f"Trial {name} of {campaign} diverged, and would do so again to the bit: the network is the same."
            )
        chosen.setdefault(study.name, set()).add(number)
    return chosen


def _undecided(
    campaign: str, studies: Mapping[str, Study], chosen: Mapping[str, Collection[int]], *, named: bool
) -> Mapping[str, Collection[int]]:
    """Return the chosen trials without those of finalists, once the winner among these is trained again.

    Raises `UsageError` if such trials are named, or if no others are left.
    """
    known = [study.attrs for study in studies.values()]
    decided = {name for name, study in studies.items() if study.is_confirm and is_past_retry(study.attrs, known)}
    left = {name: numbers for name, numbers in chosen.items() if name not in decided}
    refused = next((name for name in decided if chosen.get(name)), None)
    if refused is not None and (named or not any(left.values())):
        final = next(study.name for study in studies.values() if study.is_final)
        raise UsageError(
            f"The winner of {campaign} was chosen by the values of {refused}, and is trained again in {final}: trials "
            f"of {refused} can no longer be retried. Failed trials of other stages can. To choose again, start the "
            "campaign under another name."
        )
    return left


def _refuse_none(campaign: str, studies: Mapping[str, Study], chosen: Mapping[str, object], diverged: int) -> None:
    if any(chosen.values()):
        return
    ask = any(OBJECTIVE in study.attrs for study in studies.values())
    also = f"; {diverged} diverged{', which --diverged retries, too' if ask else ''}" if diverged else ""
    raise UsageError(f"No trial of {campaign} has failed{also}: there is nothing to retry.")


def _following(study: Study, studies: Mapping[str, Study]) -> tuple[str, ...]:
    """Return the opened stages whose ranges, points, finalists or winner follow from the trials of a study."""
    return tuple(
        other.attrs["stage"]
        for other in studies.values()
        if (other.is_confirm and study.is_search)
        or (other.is_final and not study.is_final)
        or (other.attrs.get("parent") == study.name and ("narrowed_from" in other.attrs or other.attrs.get("carried")))
    )
