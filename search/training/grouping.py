"""Which slots of a stage a worker takes together: those of one kind share matrix products. Pure functions."""

import bisect
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from coarsefine.search.storage.slots import Slot


@dataclass(frozen=True, slots=True)
class SlotGroups:
    """The numbers of a stage's slots by their kinds, in order, and how many of each kind a worker takes at once."""

    numbers: Mapping[Hashable, Sequence[int]]
    widths: Mapping[Hashable, int]
    _kind_of: Mapping[int, Hashable]

    @classmethod
    def of(
        cls, slots: Sequence[Slot], kind: Callable[[Slot], Hashable], widest: Callable[[Slot], int], workers: int
    ) -> Self:
        """Sort slots, given by rising numbers, by kind; `widest` is how many of a slot's kind train together best.

        A kind is shared out in even parts: stacks of 10, 10 and 10 before 12, 12 and 6. Where there are fewer kinds
        than workers, several share one.
        """
        of_kind: dict[Hashable, list[Slot]] = {}
        for slot in slots:
            of_kind.setdefault(kind(slot), []).append(slot)
        sharing = math.ceil(workers / len(of_kind))
        return cls(
            {key: [slot.number for slot in group] for key, group in of_kind.items()},
            {key: _even_part(len(group), widest(group[0]), sharing) for key, group in of_kind.items()},
            {slot.number: key for key, group in of_kind.items() for slot in group},
        )

    @property
    def most(self) -> int:
        """Return the most slots that a worker takes at once."""
        return max(self.widths.values())

    def companions(self, number: int) -> Sequence[int]:
        """Return the numbers of a slot and those after it that a worker takes with it, of its kind."""
        key = self._kind_of[number]
        place = bisect.bisect_left(self.numbers[key], number)
        return self.numbers[key][place : place + self.widths[key]]


def _even_part(slots: int, widest: int, workers: int) -> int:
    rounds = math.ceil(slots / widest / workers)
    return math.ceil(slots / (rounds * workers))
