"""Opening a stage: drawing its slots, and writing its study with the provenance of its ranges."""

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.dimension import Choice, Dimension, Value, around
from coarsefine.search.campaign.narrowing import describe, narrow
from coarsefine.search.campaign.network_settings import never_widened
from coarsefine.search.campaign.sampling import draw
from coarsefine.search.campaign.sections import AnyStage, Stage
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.winner import Candidate, choose_finalists
from coarsefine.search.errors import NothingCompleted
from coarsefine.search.results.dashboard_note import confirm_note, final_note, stage_note
from coarsefine.search.results.outcome import remedy, require_winner
from coarsefine.search.results.study import Study, point_of, value_of
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Slot


def open_study(
    storage: Storage,
    campaign: Campaign,
    stage: Stage,
    parent: Study | None,
    fingerprint: dict[str, Any],
    after: int | None = None,
) -> bool:
    """Draw a stage's slots and write its study, unless another process has done so.

    Return False, and write nothing, if trials of its parent were retried since it was read. `after` is the id of the
    study of the stage before, which is not always the parent's.
    Raises `NothingCompleted` if the stage needs its parent's best trials and none completed.
    """
    _refuse_empty_parent(storage, stage, parent)
    space, provenance = _space_of(campaign, stage, parent)
    slots, carried = _draw_slots(campaign, stage, space, parent)
    provenance |= {"carried": carried, "sampler": stage.sampler}
    attrs = _attrs(campaign, stage, parent, space, provenance) | fingerprint
    note = stage_note(campaign, stage, attrs, parent.id if parent else None)
    name, direction = campaign.study_name(stage), campaign.metric.direction
    parents = {parent.id: parent.retries} if parent is not None else {}
    return storage.open_study(name, attrs, space, slots, note, after=after, direction=direction, parents=parents)


def open_confirm(storage: Storage, campaign: Campaign, studies: Sequence[Study], fingerprint: dict[str, Any]) -> bool:
    """Write the study that trains the finalists again, unless another process has done so.

    Return False, and write nothing, if trials of a stage were retried since it was read.
    Slot r·k + i is finalist i of k with seed r: a seed draws the same weights and mini-batches for all finalists.
    Raises `NothingCompleted` if no trial of any stage completed.
    """
    assert campaign.confirm is not None, "the caller has checked it"  # noqa: S101
    bounds, direction = campaign.bounds_of(campaign.stage[0]), campaign.metric.direction
    finalists = choose_finalists(_candidates(studies), campaign.confirm.top, campaign.confirm.near, bounds, direction)
    if not finalists:
        failures = "; ".join(f"{study.name}: {study.failures(storage.location)}" for study in studies)
        raise NothingCompleted(
            f"No trial of {campaign.name} completed ({failures}), so there is nothing to confirm. "
            f"{remedy(studies, storage.location)}"
        )
    seeds = [_seed(campaign, len(campaign.stage), r) for r in range(campaign.confirm.seeds)]
    pairs = itertools.product(seeds, finalists)
    slots = [Slot(number, finalist.point, seed) for number, (seed, finalist) in enumerate(pairs)]
    space = _space_around([finalist.point for finalist in finalists], studies)
    provenance = {"ranges": "the points of the finalists", "finalists": [finalist.as_dict() for finalist in finalists]}
    attrs = _attrs(campaign, campaign.confirm, studies[-1], space, provenance) | fingerprint
    note = confirm_note(campaign, finalists, seeds)
    name, parents = campaign.study_name(campaign.confirm), {study.id: study.retries for study in studies}
    after = studies[-1].id
    return storage.open_study(name, attrs, space, slots, note, after=after, direction=direction, parents=parents)


def open_final(storage: Storage, campaign: Campaign, studies: Mapping[str, Study], fingerprint: dict[str, Any]) -> bool:
    """Write the study that trains the winner again, once for each seed, unless another process has done so.

    Return False, and write nothing, if trials of a stage were retried since it was read.
    Raises `NothingCompleted` if there is no winner.
    """
    assert campaign.final is not None, "the caller has checked it"  # noqa: S101
    winner = require_winner(campaign, studies, storage.location)
    seeds = campaign.final.seeds_after(winner.seed)
    slots = [Slot(number, winner.point, seed) for number, seed in enumerate(seeds)]
    space = _space_around([winner.point], studies.values())
    provenance = {"ranges": "the winner's point", "winner": {"study": winner.study, "number": winner.number}}
    attrs = _attrs(campaign, campaign.final, studies[winner.study], space, provenance) | fingerprint
    note, name = final_note(campaign, winner.point, seeds), campaign.study_name(campaign.final)
    after, parents = list(studies.values())[-1].id, {study.id: study.retries for study in studies.values()}
    direction = campaign.metric.direction
    return storage.open_study(name, attrs, space, slots, note, after=after, direction=direction, parents=parents)


def open_exported(storage: Storage, campaign: Campaign, slot: Slot, fingerprint: dict[str, Any]) -> None:
    """Write the study of the only stage of a campaign, with an exported trial as its only slot, unless it exists."""
    (stage,) = campaign.stage
    ranges = campaign.bounds_of(stage)
    wide = {name: _with_value(dimension, slot.point[name]) for name, dimension in ranges.items()}
    space = Space.of(wide)
    provenance = {"ranges": "given by the campaign", "carried": [], "sampler": stage.sampler}
    attrs = _attrs(campaign, stage, None, space, provenance) | fingerprint
    note, direction = stage_note(campaign, stage, attrs, None), campaign.metric.direction
    storage.open_study(campaign.study_name(stage), attrs, space, [slot], note, direction=direction)


def _with_value(dimension: Dimension, value: Value) -> Dimension:
    """Return a dimension that contains a value, which a widened stage may have drawn from beyond the user's bounds."""
    if isinstance(dimension, Choice) or dimension.contains(value):
        return dimension
    return around([dimension], [dimension.low, dimension.high, value])


def _attrs(
    campaign: Campaign, stage: AnyStage, parent: Study | None, space: Space, provenance: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "campaign": campaign.name,
        "stage": stage.name,
        "parent": parent.name if parent else None,
        "space": space.as_dict(),
        **provenance,
    }


def _space_around(points: Sequence[Point], studies: Iterable[Study]) -> Space:
    """Return the smallest space that contains points drawn from the spaces of some studies."""
    spaces = [study.space for study in studies]
    return Space.of({name: around([s[name] for s in spaces], [p[name] for p in points]) for name in spaces[0]})


def _candidates(studies: Iterable[Study]) -> Iterator[Candidate]:
    for study in studies:
        for trial in study.best(len(study.trials)):
            yield Candidate(study.name, trial.number, point_of(trial), value_of(trial))


def _space_of(campaign: Campaign, stage: Stage, parent: Study | None) -> tuple[Space, dict[str, Any]]:
    bounds = campaign.bounds_of(stage)
    if stage.narrow is None or parent is None:
        return bounds, {"ranges": "given by the campaign"}
    best = parent.best(stage.narrow.top)
    fixed = never_widened(bounds) if campaign.of_network else set()
    narrowed = narrow([point_of(trial) for trial in best], stage.narrow, bounds, fixed)
    return narrowed.space, {
        "ranges": "narrowed from the parent's best trials",
        "narrowed_from": [trial.number for trial in best],
        "rule": describe(stage.narrow, bounds),
        "pressed": list(narrowed.pressed),
    }


def _draw_slots(
    campaign: Campaign, stage: Stage, space: Space, parent: Study | None
) -> tuple[list[Slot], list[dict[str, int]]]:
    """Return a stage's slots, and for each carried slot its number and the parent trial it repeats.

    A slot's draw depends on its number alone. So carried points replace the first slots' and change no others.
    """
    index = campaign.stage.index(stage)
    points = draw(space, stage.sampler, stage.trials, np.random.SeedSequence(campaign.seed, spawn_key=(index, 0)))
    best = parent.best(stage.carry) if parent and stage.carry else []
    # Optuna rejects a trial whose parameters lie outside the ranges of its study.
    inside = [trial for trial in best if space.contains(point_of(trial))]
    points[: len(inside)] = [point_of(trial) for trial in inside]
    campaign.check_points(points)
    slots = [Slot(number, point, _seed(campaign, index, number)) for number, point in enumerate(points)]
    return slots, [{"number": number, "from": trial.number} for number, trial in enumerate(inside)]


def first_slot(campaign: Campaign, stage: Stage) -> Slot:
    """Return the first trial of a stage as it is drawn, of a narrowed stage from the ranges that the campaign gives."""
    slots, _ = _draw_slots(campaign, stage, campaign.bounds_of(stage), None)
    return slots[0]


def _seed(campaign: Campaign, index: int, number: int) -> int:
    return int(np.random.SeedSequence(campaign.seed, spawn_key=(index, 1, number)).generate_state(1)[0])


def _refuse_empty_parent(storage: Storage, stage: Stage, parent: Study | None) -> None:
    if parent is not None and (stage.narrow or stage.carry) and not parent.best(1):
        failures = parent.failures(storage.location)
        raise NothingCompleted(
            f"Stage '{stage.name}' cannot open: no trial of {parent.name} completed ({failures}). "
            f"{remedy([parent], storage.location)}"
        )
