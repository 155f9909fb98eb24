"""What a campaign's studies came to: the verdict on its finalists, its winner, or that nothing completed."""

from collections.abc import Iterable, Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.winner import Candidate, Verdict, judge
from coarsefine.search.errors import CampaignError, NothingCompleted
from coarsefine.search.results.campaign_studies import named_after
from coarsefine.search.results.commands import command, to_continue
from coarsefine.search.results.status import Trial, Winner
from coarsefine.search.results.study import Study, in_order_of_end, value_of
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.tables import OBJECTIVE


def find_winner(studies: Mapping[str, Study], verdict: Verdict | None) -> Winner | None:
    """Return the winner according to the verdict; without a verdict, the best trial of all stages so far.

    The winner that a study trains again stays the winner, whatever trials are retried afterwards. Of equal values, the
    one of the earlier stage wins, then the one with the lower number. Returns None if no trial has completed, or if
    every finalist failed on some seed.
    """
    searched = [study for study in studies.values() if study.is_search]
    completed = sum(study.count(TrialState.COMPLETE) for study in searched)
    confirmed = verdict.winner if verdict is not None else None
    by_verdict = (confirmed.study, confirmed.number) if confirmed is not None else None
    chosen = _trained_again(studies) or by_verdict
    if chosen is not None:
        study = studies.get(chosen[0])  # None if another program has deleted it
        trial = study.trial(chosen[1]) if study is not None else None
        estimate = confirmed.confirmed if confirmed is not None and chosen == by_verdict else None
        return _winner(study, trial, completed, estimate) if study is not None and trial is not None else None
    if verdict is not None:
        return None
    ranked = [(study, trial) for study in searched for trial in study.best(1)]
    if not ranked:
        return None
    study, trial = min(ranked, key=lambda pair: pair[0].direction.key(value_of(pair[1])))  # the first of equals
    return _winner(study, trial, completed, None)


def _trained_again(studies: Mapping[str, Study]) -> tuple[str, int] | None:
    """Return the study and the number of the winner of user code that a study trains again; None without one."""
    final = next((study.attrs["winner"] for study in studies.values() if study.is_final), None)
    return (final["study"], final["number"]) if final is not None else None


def require_winner(campaign: Campaign, studies: Mapping[str, Study], location: Location) -> Winner:
    """Return the winner of stages that have ended; raise `NothingCompleted` if there is none."""
    verdict = verdict_of(studies.values())
    winner = find_winner(studies, verdict)
    if winner is not None:
        return winner
    if verdict is not None:
        advice = (
            "Lower the upper bound of eta or the number of [confirm] seeds, then start the campaign under another name."
            if campaign.of_network
            else to_continue(campaign.name, location)
        )
        raise NothingCompleted(f"{verdict.summary} {advice}")
    failures = "; ".join(f"{study.name}: {study.failures(location)}" for study in studies.values())
    raise NothingCompleted(
        f"No trial of {campaign.name} completed ({failures}). {remedy([*studies.values()], location)}"
    )


def _winner(study: Study, trial: FrozenTrial, completed: int, confirmed: Estimate | None) -> Winner:
    found = Trial.of(trial)
    own = (found.number, found.point, found.value, found.seed)
    return Winner(study.attrs["stage"], *own, confirmed, study.name, completed)


def refuse_empty(studies: Iterable[Study], location: Location) -> None:
    """Raise `NothingCompleted` if every trial of a study has failed: then the user's function is probably broken."""
    for study in studies:
        if study.finished and not study.count(TrialState.COMPLETE):
            raise NothingCompleted(
                f"No trial of {study.name} completed ({study.failures(location)}). {remedy([study], location)}"
            )


def remedy(studies: Sequence[Study], location: Location) -> str:
    """Return what to do if no trial of these studies completed; `location` is where they are."""
    campaign, failed = named_after(studies[0].name), any(study.failed for study in studies)
    if not failed and not any(OBJECTIVE in study.attrs for study in studies):
        return (
            "Lower the upper bound of eta, then start the campaign under another name, or delete this one first with "
            f"`{command('delete', campaign, location)}`."
        )
    trials = [trial for study in studies for trial in study.trials]
    if not any(trial.state is TrialState.FAIL for trial in trials):
        return "All were pruned: let fewer be pruned, then start the campaign under another name."
    reasons = [trial.user_attrs["reason"] for trial in in_order_of_end(trials) if trial.user_attrs.get("reason")]
    last = f"The last one: {reasons[-1].rstrip('.')}.\n" if reasons else ""
    return f"{last}{to_continue(campaign, location, diverged=not failed)}"


def verdict_of(studies: Iterable[Study]) -> Verdict | None:
    """Return the verdict on the finalists; None until all of them have been trained again.

    Raises `CampaignError` if another version of Coarsefine stored the finalists in a form that this one cannot read.
    """
    confirm = next((study for study in studies if study.is_confirm), None)
    if confirm is None or not confirm.finished:
        return None
    try:
        finalists = [Candidate.from_dict(form) for form in confirm.attrs["finalists"]]
    except ValueError as error:
        raise CampaignError(
            f"{confirm.name} has finalists that this version of Coarsefine cannot read ({error}). Use the version "
            "that recorded them, or start again under another name or --storage."
        ) from error
    values = [t.value if t.state is TrialState.COMPLETE else None for t in confirm.trials]  # none is missing
    k = len(finalists)
    seed, of_network = confirm.attrs["config"]["seed"], "objective" not in confirm.attrs
    found = [values[place::k] for place in range(k)]
    return judge(finalists, found, seed, direction=confirm.direction, of_network=of_network)
