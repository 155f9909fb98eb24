"""What the server answers, made from a snapshot: the names of the command line's JSON, and what a page needs beside."""

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search import charts
from coarsefine.search.campaign import labels
from coarsefine.search.results.status import StageStatus, planned_stages
from coarsefine.search.results.study import Study, value_of
from coarsefine.search.server.snapshots import Snapshot

Figure = Literal["map", "best-so-far", "losses"]
Order = Literal["number", "best"]
Chosen = Sequence[tuple[Study, FrozenTrial]]
_BEST = 3
_SIZES = re.compile(r"[\d,]+/([\d,]+)/[\d,]+ images for training, validation, test")
"""How `coarsefine.model.datasets` describes what it loaded; the studies keep the number nowhere else."""


def to_json(value: Any) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def campaign(snapshot: Snapshot) -> dict[str, Any]:
    """Return a campaign as `coarsefine status --json` tells it, without the storage, with what a page needs."""
    told = snapshot.status.as_dict()
    del told["storage"]
    attrs = next(iter(snapshot.studies.values())).attrs
    config = attrs["config"]
    planned = {stage["name"]: stage["epochs"] for stage in planned_stages(config)}
    data = attrs["data"]["description"] if "data" in attrs else f"The objective {attrs['objective']['name']}"
    sizes = _SIZES.search(data)
    studies = list(snapshot.studies.values())
    return {
        **told,
        "objective": config.get("objective"),
        "data": data,
        "searched": [{"name": name, "symbol": labels.symbol(name)} for name in studies[0].space],
        "axes": [{"name": name, "title": charts.title_of(name, studies)} for name in charts.axes_of(studies)],
        "validation_images": int(sizes[1].replace(",", "")) if sizes else None,
        "stages": [_stage(snapshot, stage, planned[stage.name]) for stage in snapshot.status.stages],
        "problems": list(snapshot.problems),
        "revision": snapshot.revision,
    }


def _stage(snapshot: Snapshot, stage: StageStatus, epochs: int) -> dict[str, Any]:
    study = snapshot.studies.get(stage.study)
    left = snapshot.seconds_left.get(stage.study)
    return {
        **stage.as_dict(),
        "epochs": epochs,
        "epochs_recorded": sum(len(trial.intermediate_values) for trial in study.trials) if study else 0,
        "narrowed_from": stage.attrs.get("narrowed_from"),
        "rule": stage.attrs.get("rule"),
        "pressed": stage.attrs.get("pressed", []),
        "carried": stage.attrs.get("carried", []),
        "finalists": len(stage.attrs["finalists"]) if "finalists" in stage.attrs else None,
        "seconds_left": None if left is None else round(left, 1),
        "study_id": study.id if study else None,
        "dashboard": f"/dashboard/studies/{study.id}" if study else None,
    }


def listed(snapshot: Snapshot) -> dict[str, Any]:
    """Return a campaign in a few words, for a list."""
    counts = ("name", "trials", "completed", "pruned", "diverged", "failed", "waiting", "running")
    return {
        "campaign": snapshot.status.campaign,
        "state": snapshot.status.state,
        "seconds": round(snapshot.status.seconds, 3),
        "stages": [{key: getattr(stage, key) for key in counts} for stage in snapshot.status.stages],
    }


def best(snapshot: Snapshot) -> dict[str, Any]:
    """Return what `coarsefine best --json` tells."""
    told = snapshot.status.as_dict()
    stages = [{key: stage[key] for key in ("name", "study", "best")} for stage in told["stages"]]
    return {"campaign": told["campaign"], "stages": stages, "winner": told["winner"], "confirm": told["confirm"]}


def trials(study: Study, offset: int, limit: int, order: Order) -> dict[str, Any]:
    """Return a page of a stage's trials: by number, or the completed ones first, best first."""
    ordered = study.trials if order == "number" else sorted(study.trials, key=_by_value)
    page = [trial(found) for found in ordered[offset : offset + limit]]
    return {"total": len(ordered), "offset": offset, "limit": limit, "trials": page}


def _by_value(trial: FrozenTrial) -> tuple[bool, float, int]:
    completed = trial.state is TrialState.COMPLETE
    return not completed, -value_of(trial) if completed else 0.0, trial.number


def trial(found: FrozenTrial) -> dict[str, Any]:
    """Return a trial in one row."""
    epochs = found.intermediate_values
    return {
        "number": found.number,
        "state": found.state.name,
        "params": dict(found.params),
        "value": _finite(found.values[0]) if found.values else None,
        "last": _finite(epochs[max(epochs)]) if epochs else None,
        "seed": found.user_attrs["seed"],
        "epochs": len(epochs),
        "reason": found.user_attrs.get("reason"),
        "started": _utc(found.datetime_start),
        "ended": _utc(found.datetime_complete),
    }


def trial_in_full(study: Study, found: FrozenTrial) -> dict[str, Any]:
    """Return a trial with its value and losses after each epoch."""
    return {
        "study": study.name,
        **trial(found),
        "values": [_finite(value) for _, value in sorted(found.intermediate_values.items())],
        "train_loss": found.user_attrs.get("train_loss", []),
        "validation_loss": found.user_attrs.get("validation_loss", []),
    }


def figure(
    snapshot: Snapshot,
    name: Figure,
    theme: charts.Theme,
    chosen: Chosen | None = None,
    axes: tuple[str, str] | None = None,
) -> bytes:
    """Return a figure as Plotly's JSON; of learning curves those chosen, or those of the best of each stage.

    `axes` name what the map shows, two of `charts.axes_of`.
    """
    studies = list(snapshot.studies.values())
    if name == "map":
        drawn = charts.map_of_trials(studies, snapshot.status.winner, axes)
    elif name == "best-so-far":
        drawn = charts.best_so_far(studies, snapshot.status.metric)
    else:
        best = [(study, found) for study in studies if not study.is_confirm for found in study.best(_BEST)]
        named = [(f"{s.attrs['stage']} {t.number}", t) for s, t in (best if chosen is None else chosen)]
        drawn = charts.loss_curves(named) if snapshot.status.metric.is_share else charts.value_curves(named)
    return str(charts.themed(drawn, theme).to_json()).encode()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _utc(moment: datetime | None) -> str | None:
    """Return a moment in UTC; Optuna's are local and without a zone."""
    return moment.astimezone(UTC).isoformat() if moment else None
