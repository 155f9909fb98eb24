"""Which studies of a storage are stages of which campaign, however damaged the others are.

Anybody may write into a storage. A study that is not as Coarsefine writes it is left out and named; all others are
found. A study that another program has renamed is recognised by its identity.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from coarsefine.search.results.campaign_studies import named_after, place_of
from coarsefine.search.results.validation import InvalidStudy, RenamedStudy, check_study
from coarsefine.search.storage import tables
from coarsefine.search.storage.database import Row
from coarsefine.search.storage.optuna_storage import Storage

_Rows = tuple[Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class StudyIndex:
    """The studies of a storage, by campaign."""

    stages: Mapping[str, Mapping[int, dict[str, Any]]] = field(default_factory=dict)
    """Attributes of each campaign's valid studies, by study id, in the order of the stages; campaigns in the order in
    which they were started."""
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sentences that say why studies are left out, by the campaign that they are named after."""
    renamed: Mapping[int, str] = field(default_factory=dict)
    """The names of studies that another program has renamed, by id."""
    rows: _Rows = ((), ())
    """The database's studies and attributes from which the index was made."""

    @property
    def unlisted_problems(self) -> list[str]:
        """Return the problems of campaigns that have no valid study."""
        return [problem for name, problems in self.problems.items() if name not in self.stages for problem in problems]


def none_readable(campaign: str, problems: Sequence[str]) -> str:
    """Return a sentence that says that a campaign has no valid study, and why."""
    if not problems:
        return f"There is no campaign '{campaign}'."
    return f"Campaign '{campaign}' has no study that can be read. {' '.join(problems)}"


def read_index(
    storage: Storage,
    before: StudyIndex = StudyIndex(),
    studies: Collection[int] | None = None,
    *,
    patient: bool = False,
) -> StudyIndex:
    """Return the index as it is now, of all studies or of some: the same object as before if nothing has changed.

    If it is `patient`, it waits for a server that restarts.
    """
    study, attr = tables.studies.c, tables.study_attrs.c
    names = sa.select(study.study_id, study.study_name).order_by(study.study_id)
    attrs = sa.select(attr.study_id, attr.key, attr.value_json)
    if studies is not None:
        names, attrs = names.where(study.study_id.in_(studies)), attrs.where(attr.study_id.in_(studies))
    read = storage.database.read if patient else partial(_read_once, storage)
    found = [[tuple(row) for row in read(query)] for query in (names, attrs)]
    rows = found[0], sorted(found[1])
    return before if rows == before.rows else _index_of(rows)


def _read_once(storage: Storage, query: sa.Select[*tuple[Any, ...]]) -> Sequence[Row]:
    """Return the rows of a query, or fail at once: the server answers its clients that it cannot read just now."""
    with storage.guarded(), storage.engine.connect() as connection:
        return connection.execute(query).all()


def _index_of(rows: _Rows) -> StudyIndex:
    texts = defaultdict[int, dict[str, str]](dict)
    for study_id, key, text in rows[1]:
        texts[study_id][key] = text
    stages, problems = defaultdict[str, dict[int, Any]](dict), defaultdict[str, list[str]](list)
    renamed: list[tuple[int, str, dict[str, Any]]] = []
    for study_id, name in rows[0]:
        if "campaign" not in texts[study_id]:
            continue
        try:
            parsed = _parsed_attrs(name, texts[study_id])
        except RenamedStudy as error:
            renamed.append((study_id, name, error.attrs))
        except InvalidStudy as error:
            problems[named_after(name)].append(f"{error} It is left out.")
        else:
            stages[parsed["campaign"]][study_id] = parsed
    names = _recognise(renamed, stages, problems)
    for name in (name for study_id, name in rows[0] if "campaign" not in texts[study_id]):
        if (campaign := named_after(name)) in stages:
            problems[campaign].append(f"The study {name} was not made by Coarsefine. It is left out.")
    ordered = {
        campaign: dict(sorted(found.items(), key=lambda study: (place_of(study[1]), study[0])))
        for campaign, found in stages.items()
    }
    return StudyIndex(ordered, dict(problems), names, rows)


def _recognise(
    renamed: Sequence[tuple[int, str, dict[str, Any]]],
    stages: dict[str, dict[int, Any]],
    problems: Mapping[str, list[str]],
) -> dict[int, str]:
    """Add renamed studies to the stages whose own study is missing; return their names. The others are copies."""
    names = {}
    for study_id, name, attrs in renamed:
        campaign, stage = attrs["campaign"], attrs["stage"]
        if any(found["stage"] == stage for found in stages[campaign].values()):
            problems[campaign].append(f"The study {name} is a copy of {campaign}/{stage}. It is left out.")
        else:
            stages[campaign][study_id] = attrs
            names[study_id] = name
    return names


def _parsed_attrs(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    try:
        attrs = {key: json.loads(text) for key, text in texts.items()}
    except (ValueError, RecursionError) as error:
        raise InvalidStudy(f"The study {name} has an attribute that is no JSON.") from error
    check_study(name, attrs)
    return attrs
