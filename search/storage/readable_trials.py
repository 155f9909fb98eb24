"""Read the trials of a study that can be read, and say why the others cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.tables import trials
from coarsefine.search.storage.trial_reader import is_number, read_trials


class UnreadableTrials(StorageError):  # noqa: N818 - named after what it finds
    """Rows of a study do not hold what Optuna writes."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A trial whose rows do not hold what Optuna writes."""

    number: int | None
    """None if not even this can be read."""
    why: str

    def __str__(self) -> str:
        named = "a trial without a number" if self.number is None else f"trial {self.number}"
        return f"{named} ({self.why})"


def read_readable(
    connection: sa.Connection, ids: Sequence[int]
) -> tuple[dict[int, FrozenTrial], dict[int, Unreadable]]:
    """Return trials by id, and those that cannot be read."""
    found, damaged = _read(connection, ids)
    if damaged:
        numbers = _numbers(connection, [*damaged])
        return found, {i: Unreadable(numbers.get(i), why) for i, why in damaged.items()}
    return found, {}


def _read(connection: sa.Connection, ids: Sequence[int]) -> tuple[dict[int, FrozenTrial], dict[int, str]]:
    """Read trials together; if that fails, each half of them by itself."""
    if not ids:
        return {}, {}
    try:
        found, unlike = read_trials(connection, ids)
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 - another program can have written anything
        why = f"{type(error).__name__}: {error}"[:200]
    else:
        damaged = {i: "a number of it is damaged" for i in found if i in unlike}
        return {i: trial for i, trial in found.items() if i not in damaged}, damaged
    if len(ids) == 1:
        return {}, {ids[0]: why}
    middle = len(ids) // 2
    (found, damaged), (others, more) = (_read(connection, half) for half in (ids[:middle], ids[middle:]))
    return found | others, damaged | more


def _numbers(connection: sa.Connection, ids: Sequence[int]) -> dict[int, int]:
    rows = connection.execute(sa.select(trials.c.trial_id, trials.c.number).where(trials.c.trial_id.in_(ids)))
    return {trial_id: number for trial_id, number in rows if is_number(number)}
