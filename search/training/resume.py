"""Stacks of claimed slots, each resumed from the checkpoints that killed or stopped workers left on this machine."""

from collections.abc import Hashable, Iterator, Mapping, Sequence

from coarsefine.search.storage.slots import Claim, Slot
from coarsefine.search.training.checkpoints import Checkpoint, Checkpoints
from coarsefine.search.training.objective import Objective, Stack

_DISTRUST_AFTER_DEATHS = 4
"""After this many deaths of its workers a slot starts from its first epoch: its checkpoint may be what kills them."""


def start_or_resume(
    claims: Sequence[Claim], objective: Objective, checkpoints: Checkpoints
) -> Iterator[tuple[Stack, dict[int, Checkpoint]]]:
    """Yield claimed slots as stacks, each with the checkpoints it was resumed from, by slot number.

    Slots of one kind whose checkpoints are equally old make one stack; slots without a checkpoint start with their
    first epoch.
    """
    groups: dict[tuple[Hashable, int], list[Slot]] = {}
    found: dict[int, Checkpoint] = {}
    for claim in claims:
        slot, epoch = claim.slot, 0
        if claim.deaths < _DISTRUST_AFTER_DEATHS and (checkpoint := checkpoints.load(slot)) is not None:
            found[slot.number], epoch = checkpoint, checkpoint.epoch
        groups.setdefault((objective.kind(slot), epoch), []).append(slot)
    for (_, epoch), slots in groups.items():
        kept = {slot.number: found[slot.number] for slot in slots if epoch}
        stack = _resumed(slots, epoch, kept, objective, checkpoints) if kept else None
        yield (stack, kept) if stack is not None else (objective.start(slots), {})


def _resumed(
    slots: Sequence[Slot], epoch: int, kept: Mapping[int, Checkpoint], objective: Objective, checkpoints: Checkpoints
) -> Stack | None:
    """Return a stack resumed from checkpoints; None, and forget the checkpoints, if they do not fit the objective."""
    try:
        return objective.start(slots, epoch, [checkpoint.state for checkpoint in kept.values()])
    except ValueError:
        checkpoints.forget(kept)
        return None
