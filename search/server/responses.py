"""What the server answers, made from a snapshot in the forms of `schemas`."""

import json
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Literal, TypeVar

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search import charts
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.json_form import JsonForm, finite_or_none
from coarsefine.search.results.campaign_studies import campaign_of
from coarsefine.search.results.log_files import read_end
from coarsefine.search.results.sources import described
from coarsefine.search.results.status import StageStatus
from coarsefine.search.results.study import Study, metrics_by_epoch, value_of, values_by_epoch
from coarsefine.search.results.trial_files import logs_folder
from coarsefine.search.results.trial_files import trial_log as trial_log_path
from coarsefine.search.results.trial_table import TrialRow
from coarsefine.search.server import schemas
from coarsefine.search.server.snapshots import Snapshot
from coarsefine.search.storage.location import Location

Figure = Literal["map", "best-so-far", "losses"]
Order = Literal["number", "best"]
Chosen = Sequence[tuple[Study, FrozenTrial]]
_BEST = 3
_Form = TypeVar("_Form")


def to_json(answer: JsonForm) -> bytes:
    """Return an answer as compact JSON."""
    return json.dumps(answer.as_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def campaign(snapshot: Snapshot) -> schemas.CampaignStatus:
    """Return a campaign as `coarsefine status --json` prints it, with what a page needs in addition."""
    studies = list(snapshot.studies.values())
    plan = campaign_of(snapshot.studies, extra="ignore")
    attrs, images = studies[0].attrs, studies[0].images
    stages = zip(snapshot.status.stages, plan.stages, strict=True)
    return _extend(
        schemas.CampaignStatus,
        snapshot.status,
        stages=tuple(_stage(snapshot, stage, plan.epochs_of(planned)) for stage, planned in stages),
        objective=plan.user_code,
        data=attrs["data"]["description"]
        if "data" in attrs
        else f"The {'objective' if plan.command is None else 'command'} {plan.user_code}",
        searched=tuple(schemas.Searched(name, labels.symbol(name, plan.metric)) for name in studies[0].space),
        axes=tuple(
            schemas.Axis(name, charts.Axis(name, studies, plan.metric).title) for name in charts.axes_of(studies)
        ),
        metrics=metrics_of(snapshot),
        validation_images=images.validation if images else None,
        seconds_in_training=_seconds_in_training(snapshot),
        code_versions=described(snapshot.status.sources),
        problems=snapshot.problems,
        revision=snapshot.revision,
    )


def metrics_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the names of the further metrics of a campaign's trials, in the order in which they first appear."""
    trials = (trial for study in snapshot.studies.values() for trial in study.trials)
    return tuple(dict.fromkeys(name for trial in trials for name in metrics_by_epoch(trial)))


def _seconds_in_training(snapshot: Snapshot) -> float | None:
    """Return the time without pauses; None while the campaign runs, when its page shows another time."""
    if snapshot.status.state == "running":
        return None
    final = snapshot.status.final
    return round(charts.seconds_in_training(snapshot.studies.values()) + (final.seconds if final else 0.0), 3)


def _stage(snapshot: Snapshot, stage: StageStatus, epochs: int) -> schemas.StageDetail:
    study = snapshot.studies.get(stage.study)
    attrs, left = stage.attrs, snapshot.seconds_left.get(stage.study)
    return _extend(
        schemas.StageDetail,
        stage,
        failure=schemas.FailedTrial(*stage.failure) if stage.failure else None,
        epochs=epochs,
        epochs_recorded=sum(len(trial.intermediate_values) for trial in study.trials) if study else 0,
        narrowed_from=tuple(attrs["narrowed_from"]) if "narrowed_from" in attrs else None,
        rule=attrs.get("rule"),
        pressed=tuple(attrs.get("pressed", ())),
        carried=tuple(schemas.Carried(pair["number"], pair["from"]) for pair in attrs.get("carried", ())),
        finalists=len(attrs["finalists"]) if "finalists" in attrs else None,
        is_final=study is not None and study.is_final,
        seconds_left=None if left is None else round(left, 1),
        study_id=study.id if study else None,
        dashboard=f"/dashboard/studies/{study.id}" if study else None,
    )


def _extend(form: type[_Form], base: Any, **more: Any) -> _Form:
    """Return a form that has the fields of a base and some more."""
    return form(**{field.name: getattr(base, field.name) for field in fields(base)} | more)


def trials(study: Study, offset: int, limit: int, order: Order) -> schemas.TrialPage:
    """Return a page of a stage's trials: by number, or the completed ones first, best first."""
    ordered = study.trials if order == "number" else sorted(study.trials, key=partial(_by_value, study.direction))
    return schemas.TrialPage(len(ordered), offset, limit, tuple(map(TrialRow.of, ordered[offset : offset + limit])))


def _by_value(direction: Direction, trial: FrozenTrial) -> tuple[bool, float, int]:
    completed = trial.state is TrialState.COMPLETE
    return not completed, direction.key(value_of(trial)) if completed else 0.0, trial.number


def trial_detail(study: Study, trial: FrozenTrial) -> schemas.TrialDetail:
    """Return a trial with its value and losses after each epoch."""
    return _extend(
        schemas.TrialDetail,
        TrialRow.of(trial),
        study=study.name,
        values=tuple(map(finite_or_none, values_by_epoch(trial))),
        train_loss=tuple(trial.user_attrs.get("train_loss", ())),
        validation_loss=tuple(trial.user_attrs.get("validation_loss", ())),
    )


def trial_log(location: Location, study: Study, trial: FrozenTrial) -> schemas.TrialLog | None:
    """Return the end of a trial's log on this machine, without secrets; None if there is none."""
    campaign, stage = study.attrs["campaign"], study.attrs["stage"]
    end = read_end(trial_log_path(location, campaign, stage, trial.number), logs_folder(location, campaign))
    if end is None:
        return None
    text = "\n".join(end.lines)
    for secret in location.secrets:
        text = text.replace(secret, "***")
    return schemas.TrialLog(tuple(text.split("\n")), end.size, end.is_whole)


def figure(
    snapshot: Snapshot, name: Figure, theme: charts.Theme, axes: tuple[str, str], chosen: Chosen, shown: str | None
) -> bytes:  # fmt: skip
    """Return a figure as Plotly's JSON; learning curves are of the chosen trials, or of the best of each stage.

    `axes` name what the map shows, two of `charts.axes_of`, and `shown` a further metric for the learning curves.
    """
    studies, metric = list(snapshot.studies.values()), snapshot.status.metric
    if name == "map":
        status = snapshot.status
        drawn = charts.map_of_trials(studies, status.winner, axes, metric, is_decided=status.is_decided)
    elif name == "best-so-far":
        drawn = charts.best_so_far(studies, metric)
    else:
        best = [(study, found) for study in studies if study.is_search for found in study.best(_BEST)]
        named = [(f"{s.attrs['stage']} {t.number}", t) for s, t in chosen or best]
        if shown is not None:
            drawn = charts.curves({label: metrics_by_epoch(trial).get(shown, []) for label, trial in named}, shown)
        elif metric.is_share:
            drawn = charts.loss_curves(named)
        else:
            drawn = charts.curves({label: values_by_epoch(trial) for label, trial in named}, metric.title)
    return str(charts.themed(drawn, theme).to_json()).encode()
