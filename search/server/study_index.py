"""The index of a storage: which studies belong to which campaign, and why others are left out."""

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
    """The studies of a storage, by campaign."""

    stages: Mapping[str, Mapping[int, dict[str, Any]]] = field(default_factory=dict)
    """Attributes of each campaign's valid studies, by study id; campaigns in the order in which they were started."""
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sentences that say why studies are left out, by the campaign that they are named after."""
    rows: _Rows = ((), ())
    """The database's studies and attributes from which the index was made."""

    @property
    def unlisted_problems(self) -> list[str]:
        """Return the problems of campaigns that have no valid study."""
        return [problem for name, problems in self.problems.items() if name not in self.stages for problem in problems]


def read_study_index(storage: Storage, before: StudyIndex) -> StudyIndex:
    """Return the index as it is now: the same object as before if nothing has changed."""
    with storage.guarded(), storage.engine.connect() as connection:
        named = connection.execute(sa.select(studies.c.study_id, studies.c.study_name).order_by(studies.c.study_id))
        attrs = connection.execute(sa.select(study_attrs.c.study_id, study_attrs.c.key, study_attrs.c.value_json))
        rows = [tuple(row) for row in named], sorted(tuple(row) for row in attrs)
    return before if rows == before.rows else _index_of(rows)


def _index_of(rows: _Rows) -> StudyIndex:
    attrs = defaultdict[int, dict[str, str]](dict)
    for study_id, key, text in rows[1]:
        attrs[study_id][key] = text
    stages, problems = defaultdict[str, dict[int, Any]](dict), defaultdict[str, list[str]](list)
    foreign = []
    for study_id, name in rows[0]:
        if "campaign" not in attrs[study_id]:
            foreign.append(name)
            continue
        try:
            parsed = _parsed_attrs(name, attrs[study_id])
        except InvalidStudy as error:
            problems[name.rpartition("/")[0]].append(f"{error} It is left out.")
        else:
            stages[parsed["campaign"]][study_id] = parsed
    for name in foreign:
        if (campaign := name.rpartition("/")[0]) in stages:
            problems[campaign].append(f"The study {name} was not made by Coarsefine. It is left out.")
    return StudyIndex(dict(stages), dict(problems), rows)


def _parsed_attrs(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    try:
        attrs = {key: json.loads(text) for key, text in texts.items()}
    except ValueError as error:
        raise InvalidStudy(f"The study {name} has an attribute that is no JSON.") from error
    check_study(name, attrs)
    return attrs
