"""A second copy of what Coarsefine writes into a study, so that edits by other programs are found.

Optuna's API and its dashboard set a study's user attributes; the copies are system attributes, which they leave alone.
`optuna.copy_study` copies both.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from coarsefine.search.campaign.direction import Direction
from coarsefine.search.storage.dialect import upsert
from coarsefine.search.storage.slots import Slot
from coarsefine.search.storage.tables import OBJECTIVE, SEALED, Attrs, rows_of, study_attrs, study_system_attrs

DIRECTION, NAMED = "coarsefine:direction", "coarsefine:metric_names"
"""Keys of the copies of the direction and the names of the values."""
CHECKS = "coarsefine:slots"
"""Key of the checks of the slots, in the order of their numbers."""
METRIC_NAMES = "study:metric_names"
"""Key of Optuna's system attribute with the names of the values."""
_OF_OBJECTIVE = ("name", "form", "digest", "files")
"""What identifies user code. Its text is not kept twice."""
_BITS = 2**64 - 1


def set_attrs(connection: sa.Connection, study_id: int, attrs: Attrs) -> None:
    """Set attributes of a study, and their copies."""
    upsert(connection, study_attrs, ("study_id", "key"), rows_of(attrs, study_id=study_id))
    upsert(connection, study_system_attrs, ("study_id", "key"), rows_of(_copies_of(attrs), study_id=study_id))


def seal_of(slots: Sequence[Slot], system_attrs: Attrs, direction: Direction) -> dict[str, Any]:
    """Return system attributes of a new study: the checks of its slots, and copies of the labels of its values."""
    return {
        DIRECTION: direction.name,
        NAMED: system_attrs.get(METRIC_NAMES),
        CHECKS: checks_of([slot.point.as_dict() for slot in slots], [slot.seed for slot in slots]),
    }


def checks_of(points: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[int]:
    """Return a number for each slot that it very probably does not have with another point or seed."""
    sums = np.array([seed & _BITS for seed in seeds], np.uint64) * _factor("seed of the slot")
    for name in {name: None for point in points for name in point}:
        values = [_number_of(point[name]) if name in point else 0.0 for point in points]
        # + 0.0, since SQLite gives -0.0 back as 0.0.
        sums += (np.array(values, np.float64) + 0.0).view(np.uint64) * _factor(name)
    found: list[int] = (sums >> np.uint64(32)).tolist()
    return found


def _factor(name: str) -> np.uint64:
    """Return an odd number for a name: two different values never have the same product with it."""
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") | 1)


def _number_of(value: object) -> float:
    """Return a number for a parameter's value. Databases give whole numbers back as floats."""
    if type(value) is float or (type(value) is int and abs(value) <= _BITS):
        return float(value)
    return float(zlib.crc32(repr(value).encode()))


def _copies_of(attrs: Attrs) -> dict[str, Any]:
    return {f"{SEALED}{key}": _identifying(value) if key == OBJECTIVE else value for key, value in attrs.items()}


def _identifying(objective: Attrs) -> Attrs:
    return {key: objective[key] for key in _OF_OBJECTIVE if key in objective}
