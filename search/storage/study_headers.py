"""Read studies without their trials: the names of all, and the attributes of a campaign's.

Optuna reads all studies of a database, which takes a second for a few hundred, and fails for all if one is damaged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.tables import IDENTITY, studies, study_attr, study_attrs


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """A study without its trials."""

    id: int
    name: str
    attrs: dict[str, Any] = field(default_factory=dict)
    """Its user attributes."""


def headers_query(prefix: str) -> sa.Select[*tuple[Any, ...]]:
    """Select the studies whose names begin with a prefix, by rising ids; a row for each attribute.

    Not by LIKE, for which SQLite takes Digits and digits for the same.
    """
    return (
        sa.select(studies.c.study_id, studies.c.study_name, study_attrs.c.key, study_attrs.c.value_json)
        .outerjoin(study_attrs, study_attrs.c.study_id == studies.c.study_id)
        .where(sa.func.substr(studies.c.study_name, 1, len(prefix)) == prefix)
        .order_by(studies.c.study_id, study_attrs.c.study_user_attribute_id)
    )


def headers_of(rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> list[StudyHeader]:
    """Return the studies that these rows hold; raise `StorageError` if an attribute is not JSON."""
    found: dict[int, StudyHeader] = {}
    for study_id, name, key, text in rows:
        header = found.setdefault(study_id, StudyHeader(study_id, name))
        if key is not None:
            try:
                header.attrs[key] = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise StorageError(f"The attribute {key!r} of study {name} is damaged: it is not JSON.") from error
    return list(found.values())


NAMES = sa.select(
    studies.c.study_id,
    studies.c.study_name,
    *(study_attr(key, studies.c.study_id).label(key) for key in ("campaign", "stage", IDENTITY)),
).order_by(studies.c.study_id)


@dataclass(frozen=True, slots=True)
class StudyName:
    """A study's id and name, and what it says it is; None where it does not say."""

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
