"""Which of a storage's studies make up which campaign, and which are left out, and why."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from coarsefine.search.server.validation import InvalidStudy, check_study
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.tables import studies, study_attrs

_Rows = tuple[Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class StudyIndex:
    """The studies of a storage."""

    stages: Mapping[str, Mapping[int, dict[str, Any]]] = field(default_factory=dict)
    """Of each campaign, in the order they were begun: the attributes of its sound studies, by their ids."""
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Why studies are left out that are named after a campaign, by its name."""
    rows: _Rows = ((), ())
    """What this was made of."""

    @property
    def strays(self) -> list[str]:
        """Return why studies are left out of campaigns that have no other."""
        return [told for campaign, found in self.problems.items() if campaign not in self.stages for told in found]


def read_study_index(storage: Storage, before: StudyIndex) -> StudyIndex:
    """Return the directory as it is now, the same object as before where nothing has changed."""
    with storage.guarded(), storage.engine.connect() as connection:
        named = connection.execute(sa.select(studies.c.study_id, studies.c.study_name).order_by(studies.c.study_id))
        kept = sa.select(study_attrs.c.study_id, study_attrs.c.key, study_attrs.c.value_json)
        rows = [tuple(row) for row in named], sorted(tuple(row) for row in connection.execute(kept))
    return before if rows == before.rows else _sorted_out(rows)


def _sorted_out(rows: _Rows) -> StudyIndex:
    attrs = defaultdict[int, dict[str, str]](dict)
    for study_id, key, form in rows[1]:
        attrs[study_id][key] = form
    stages, problems = defaultdict[str, dict[int, Any]](dict), defaultdict[str, list[str]](list)
    foreign = []
    for study_id, name in rows[0]:
        if "campaign" not in attrs[study_id]:
            foreign.append(name)
            continue
        try:
            read = _attrs_of(name, attrs[study_id])
        except InvalidStudy as error:
            problems[name.rpartition("/")[0]].append(f"{error} It is left out.")
        else:
            stages[read["campaign"]][study_id] = read
    for name in foreign:
        if (campaign := name.rpartition("/")[0]) in stages:
            problems[campaign].append(f"The study {name} was not made by Coarsefine. It is left out.")
    return StudyIndex(dict(stages), dict(problems), rows)


def _attrs_of(name: str, forms: Mapping[str, str]) -> dict[str, Any]:
    try:
        attrs = {key: json.loads(form) for key, form in forms.items()}
    except ValueError as error:
        raise InvalidStudy(f"The study {name} has an attribute that is no JSON.") from error
    check_study(name, attrs)
    return attrs
