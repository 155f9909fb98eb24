"""Read studies without their trials: the names of all, and the attributes of a campaign's.

Optuna reads all studies of a database, which takes a second for a few hundred, and fails for all if one is damaged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from coarsefine.search.storage.database import Row
from coarsefine.search.storage.seal import CHECKS, DIRECTION, METRIC_NAMES, NAMED
from coarsefine.search.storage.tables import (
    IDENTITY,
    SEALED,
    directions,
    known_attr,
    studies,
    study_attrs,
    study_system_attrs,
)

_NAME, _ATTR, _SYSTEM_ATTR, _DIRECTION = range(4)
"""What a row of `headers_query` holds."""


class NoJson(str):
    """The text of an attribute that is not JSON, in place of its value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """A study without its trials."""

    id: int
    name: str
    attrs: dict[str, Any] = field(default_factory=dict)
    """Its user attributes."""
    system_attrs: dict[str, Any] = field(default_factory=dict)
    """The system attributes that Coarsefine reads."""
    directions: list[str] = field(default_factory=list)
    """The names of its directions, one for each value of a trial."""

    @property
    def damaged(self) -> str | None:
        """Return the key of an attribute that is not JSON; None if there is none."""
        return next((key for key, value in self.attrs.items() if isinstance(value, NoJson)), None)


def named_like(prefix: str) -> sa.ColumnElement[bool]:
    """Return the condition that a study's name begins with a prefix.

    Not by LIKE, for which SQLite takes Digits and digits for the same.
    """
    return sa.func.substr(studies.c.study_name, 1, len(prefix)) == prefix


def headers_query(chosen: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """Select all that the headers of chosen studies hold, as it is at one moment, by rising ids.

    The checks of slots are left out: there may be many.
    """
    here, own, system, of_values = studies.c.study_id, study_attrs.c, study_system_attrs.c, directions.c
    ours = system.key.startswith(SEALED, autoescape=True) | system.key.in_([METRIC_NAMES, DIRECTION, NAMED])
    none = sa.cast(sa.null(), sa.Text)

    def part(kind: int, place: Any, key: Any, text: Any) -> sa.Select[*tuple[Any, ...]]:
        columns = (here.label("id"), sa.literal(kind).label("kind"), place.label("place"), key.label("key"))
        return sa.select(*columns, text.label("text")).where(chosen)

    parts = (
        part(_NAME, here, studies.c.study_name, none),
        part(_ATTR, own.study_user_attribute_id, own.key, own.value_json).where(own.study_id == here),
        part(_SYSTEM_ATTR, system.study_system_attribute_id, system.key, system.value_json).where(
            system.study_id == here, ours
        ),
        part(_DIRECTION, of_values.objective, sa.cast(of_values.direction, sa.String), none).where(
            of_values.study_id == here
        ),
    )
    found = sa.union_all(*parts).subquery()
    return sa.select(found).order_by(found.c.id, found.c.kind, found.c.place)


def headers_of(rows: Sequence[Row]) -> list[StudyHeader]:
    """Return the studies that the rows of `headers_query` hold."""
    found: dict[int, StudyHeader] = {}
    for row in rows:
        if row.kind == _NAME:
            found[row.id] = StudyHeader(row.id, row.key)
        elif row.kind == _DIRECTION:
            found[row.id].directions.append(row.key)
        elif row.kind == _ATTR:
            found[row.id].attrs[row.key] = _value_of(row.text)
        elif not isinstance(value := _value_of(row.text), NoJson):  # such a copy is as good as none
            found[row.id].system_attrs[row.key] = value
    return list(found.values())


def _value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NoJson(text)


def checks_query(study_id: int) -> sa.Select[*tuple[Any, ...]]:
    """Select the checks of the slots of a study, as JSON."""
    copy = study_system_attrs.c
    return sa.select(copy.value_json).where(copy.study_id == study_id, copy.key == CHECKS)


def checks_of(rows: Sequence[Any]) -> list[int]:
    """Return the checks that the rows of this query hold, in the order of the slots; [] for earlier versions."""
    checks = _value_of(rows[0][0]) if rows else []
    return checks if isinstance(checks, list) else []


NAMES = sa.select(
    studies.c.study_id,
    studies.c.study_name,
    *(known_attr(key, studies.c.study_id).label(key) for key in ("campaign", "stage", IDENTITY)),
).order_by(studies.c.study_id)


@dataclass(frozen=True, slots=True)
class StudyName:
    """A study's id and name, and which stage it was opened as, or says it is; None where that is not known."""

    study_id: int
    name: str
    campaign: str | None
    stage: str | None
    identity: str | None

    @property
    def is_own(self) -> bool:
        """Return whether it is called what it says it is; a copy of a stage's study is not."""
        return self.name == f"{self.campaign}/{self.stage}"


def names_of(rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> list[StudyName]:
    """Return the studies that the rows of `NAMES` hold."""
    return [StudyName(row.study_id, row.study_name, *map(_text_of, (row.campaign, row.stage, row.id))) for row in rows]


def _text_of(form: str | None) -> str | None:
    """Return the text that an attribute holds as JSON; None if it holds anything else."""
    try:
        value = json.loads(form or "null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None
