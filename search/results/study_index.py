"""Which studies of a storage are stages of which campaign, however damaged the others are.

Anybody may write into a storage. A study that is not as Coarsefine writes it is left out and named; all others are
found. A study that another program has renamed is recognised by its identity.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from coarsefine.search.results.campaign_studies import named_after, place_of
from coarsefine.search.results.edited import Restored, restored
from coarsefine.search.results.validation import InvalidStudy, RenamedStudy, check_study
from coarsefine.search.storage import tables
from coarsefine.search.storage.database import Row
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.study_headers import headers_of, headers_query


@dataclass(frozen=True, slots=True)
class StudyIndex:
    """The studies of a storage, by campaign."""

    stages: Mapping[str, Sequence[Restored]] = field(default_factory=dict)
    """Each campaign's valid studies, in the order of the stages; campaigns in the order in which they were started."""
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sentences that say why studies are left out, by the campaign that they are named after."""
    rows: Sequence[Row] = ()
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
    chosen = sa.true() if studies is None else tables.studies.c.study_id.in_(studies)
    query = headers_query(chosen)
    rows = storage.database.read(query) if patient else _read_once(storage, query)
    return before if rows == before.rows else _index_of(rows)


def _read_once(storage: Storage, query: sa.Select[*tuple[Any, ...]]) -> Sequence[Row]:
    """Return the rows of a query, or fail at once: the server answers its clients that it cannot read just now."""
    with storage.guarded(), storage.engine.connect() as connection:
        return connection.execute(query).all()


def _index_of(rows: Sequence[Row]) -> StudyIndex:
    stages, problems = defaultdict[str, list[Restored]](list), defaultdict[str, list[str]](list)
    renamed, others = list[Restored](), list[str]()
    for study in map(restored, headers_of(rows)):
        if "campaign" not in study.attrs:
            others.append(study.name)
            continue
        try:
            _check(study)
        except RenamedStudy:
            renamed.append(study)
        except InvalidStudy as error:
            problems[named_after(study.name)].append(f"{error} It is left out.")
        else:
            stages[study.attrs["campaign"]].append(study)
    _recognise(renamed, stages, problems)
    for name in others:
        if (campaign := named_after(name)) in stages:
            problems[campaign].append(f"The study {name} was not made by Coarsefine. It is left out.")
    ordered = {
        campaign: sorted(found, key=lambda study: (place_of(study.attrs), study.id))
        for campaign, found in stages.items()
    }
    return StudyIndex(ordered, dict(problems), rows)


def _recognise(
    renamed: Iterable[Restored], stages: dict[str, list[Restored]], problems: Mapping[str, list[str]]
) -> None:
    """Add renamed studies to the stages whose own study is missing. The others are copies."""
    for study in renamed:
        campaign, stage = study.attrs["campaign"], study.attrs["stage"]
        if any(found.attrs["stage"] == stage for found in stages[campaign]):
            problems[campaign].append(f"The study {study.name} is a copy of {campaign}/{stage}. It is left out.")
        else:
            stages[campaign].append(study)


def _check(study: Restored) -> None:
    """Raise `InvalidStudy` unless a study is a stage's."""
    if study.damaged is not None:
        raise InvalidStudy(f"The study {study.name} has an attribute that is no JSON.")
    check_study(study.name, study.attrs)
