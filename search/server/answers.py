"""The JSON that the server answers with: the names of the command line's JSON, and what a page needs beside."""

import json
from typing import Any

from optuna.trial import FrozenTrial

from search import charts
from search.server.campaigns import View
from search.status import StageStatus
from search.study import Study

FIGURES = ("map", "best-so-far", "losses")
_BEST = 3


def to_json(value: Any) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def campaign(view: View) -> dict[str, Any]:
    """Return a campaign as `coarsefine status --json` tells it, without the storage, with what a page needs."""
    told = view.status.as_dict()
    del told["storage"]
    told["stages"] = [_stage(view, stage) for stage in view.status.stages]
    return {**told, "revision": view.revision}


def _stage(view: View, stage: StageStatus) -> dict[str, Any]:
    study = view.studies.get(stage.study)
    return {
        **stage.as_dict(),
        "seconds_left": None,
        "study_id": study.id if study else None,
        "dashboard": f"/dashboard/studies/{study.id}" if study else None,
    }


def listed(view: View) -> dict[str, Any]:
    """Return a campaign in a few words, for a list."""
    counts = ("name", "trials", "completed", "pruned", "diverged", "failed", "waiting", "running")
    return {
        "campaign": view.status.campaign,
        "state": view.status.state,
        "seconds": round(view.status.seconds, 3),
        "stages": [{key: getattr(stage, key) for key in counts} for stage in view.status.stages],
    }


def best(view: View) -> dict[str, Any]:
    """Return what `coarsefine best --json` tells."""
    told = view.status.as_dict()
    stages = [{key: stage[key] for key in ("name", "study", "best")} for stage in told["stages"]]
    return {"campaign": told["campaign"], "stages": stages, "winner": told["winner"]}


def trial(found: FrozenTrial) -> dict[str, Any]:
    """Return a trial in one row."""
    return {
        "number": found.number,
        "state": found.state.name,
        "eta": found.params.get("eta"),
        "lambda": found.params.get("lambda"),
        "value": found.value,
        "seed": found.user_attrs["seed"],
        "epochs": len(found.intermediate_values),
        "reason": found.user_attrs.get("reason"),
        "started": found.datetime_start.astimezone().isoformat() if found.datetime_start else None,
        "ended": found.datetime_complete.astimezone().isoformat() if found.datetime_complete else None,
    }


def trial_in_full(study: Study, found: FrozenTrial) -> dict[str, Any]:
    """Return a trial with its value and losses after each epoch."""
    return {
        "study": study.name,
        **trial(found),
        "values": [value for _, value in sorted(found.intermediate_values.items())],
        "train_loss": found.user_attrs.get("train_loss", []),
        "validation_loss": found.user_attrs.get("validation_loss", []),
    }


def figure(view: View, name: str, theme: charts.Theme, chosen: list[tuple[str, FrozenTrial]] | None) -> bytes:
    """Return a figure as Plotly's JSON."""
    studies = list(view.studies.values())
    if name == "map":
        drawn = charts.map_of_trials(studies, view.status.winner)
    elif name == "best-so-far":
        drawn = charts.best_so_far(studies)
    else:
        best = [(f"{s.attrs['stage']} {t.number}", t) for s in studies for t in s.best(_BEST)]
        drawn = charts.loss_curves(chosen if chosen is not None else best)
    return str(charts.themed(drawn, theme).to_json()).encode()
