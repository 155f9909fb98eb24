"""The note that optuna-dashboard shows with a stage's study: it describes the stage to visitors of the dashboard."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import Stage
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.winner import Candidate

_PIECE = 2045
"""The most characters of one attribute; `optuna_dashboard.save_note` divides longer notes."""


def stage_note(campaign: Campaign, stage: Stage, attrs: Mapping[str, Any], parent_id: int | None) -> dict[str, Any]:
    """Return the note, and the name of the value, as system attributes of the study with the user attributes `attrs`.

    `parent_id` is the id of the parent's study.
    """
    rungs = campaign.pruning(stage).rungs
    pruned = f", {stage.pruner_name} after epochs {', '.join(map(str, rungs))}" if rungs else ""
    space, metric = Space.from_dict(attrs["space"]), campaign.metric
    rows = {
        "Ranges": f"{labels.space_text(space, metric)}, {labels.space_kinds(space, metric)}; {attrs['ranges']}",
        "Parent": f"[{attrs['parent']}](/dashboard/studies/{parent_id})" if parent_id is not None else None,
        "Narrowed from": f"the parent's trials {_listed(attrs['narrowed_from'])}" if "narrowed_from" in attrs else None,
        "Rule": attrs.get("rule"),
        "At a bound": f"the parent's best trials are at {labels.bounds_text(attrs['pressed'], metric)}"
        if attrs.get("pressed")
        else None,
        "Carried": _carried(attrs["carried"]),
        "Trials": f"{stage.trials}, {stage.sampler}{labels.epochs_each(campaign, campaign.epochs_of(stage))}{pruned}",
        "Data": attrs["data"]["description"] if "data" in attrs else None,
        "Objective": attrs["objective"]["name"] if "objective" in attrs else None,
        "Value": _value(campaign),
    }
    return _note(campaign, f"Stage {campaign.stage.index(stage) + 1} of {len(campaign.stage)}", rows)


def confirm_note(campaign: Campaign, finalists: Sequence[Candidate], seeds: Sequence[int]) -> dict[str, Any]:
    """Return the note, and the name of the value, as system attributes of the study that trains the finalists again."""
    k = len(finalists)
    rows = {
        f"Finalist {place + 1}": f"{labels.point_text(one.point, campaign.metric)}: trial {one.number} of {one.study}, "
        f"trained again in trials {_listed([r * k + place for r in range(len(seeds))])}"
        for place, one in enumerate(finalists)
    }
    seeded = f"{len(seeds)} seeds, the same for each: {_listed(seeds)}"
    return _note(campaign, "The best settings of all stages, trained again on new seeds,", {**rows, "Seeds": seeded})


def final_note(campaign: Campaign, point: Point, seeds: Sequence[int]) -> dict[str, Any]:
    """Return the note, and the name of the value, as system attributes of the study that trains the winner again."""
    assert campaign.final is not None, "the study is of its [final]"  # noqa: S101
    rows = {
        "Point": labels.point_text(point, campaign.metric),
        "Trials": f"one for each seed{labels.epochs_each(campaign, campaign.final.epochs)}",
        "Seeds": f"the winner's own first: {_listed(seeds)}",
    }
    return _note(campaign, "The winner of all stages, trained again on several seeds,", rows)


def _note(campaign: Campaign, subject: str, rows: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the name of the trials' value, and a note in Markdown as `optuna_dashboard.save_note` writes it."""
    items = "\n".join(f"- **{name}:** {text}" for name, text in rows.items() if text)
    page = f"[Its page](/campaigns/{quote(campaign.name)}), under `coarsefine serve`, shows all its stages together."
    note = f"{subject} of the campaign `{campaign.name}`. {page}\n\n{items}\n"
    pieces = [note[start : start + _PIECE] for start in range(0, len(note), _PIECE)]
    parts = {f"dashboard:note_str:{place}": piece for place, piece in enumerate(pieces)}
    return {"study:metric_names": [campaign.metric.title], "dashboard:note_ver": 1, **parts}


def _value(campaign: Campaign) -> str | None:
    """Return what is compared, and how; None for the network."""
    metric = campaign.metric
    return None if metric.is_share else f"{metric.title}, of which the {metric.direction.best_word} is the best"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _carried(carried: list[dict[str, int]]) -> str | None:
    if not carried:
        return None
    ours, theirs = ([pair[key] for pair in carried] for key in ("number", "from"))
    return f"trials {_listed(ours)} are the points of the parent's trials {_listed(theirs)}, on new seeds"
