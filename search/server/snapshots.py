"""Snapshots of campaigns: read the campaigns of a storage for the server, each time only what has changed."""

import json
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from coarsefine.search.campaign.space import Space
from coarsefine.search.errors import UsageError
from coarsefine.search.results.campaign_studies import campaign_of
from coarsefine.search.results.other_programs import notes_on
from coarsefine.search.results.own_slots import as_slots
from coarsefine.search.results.progress import stage_seconds_left
from coarsefine.search.results.status import Status
from coarsefine.search.results.status_reading import status_of
from coarsefine.search.results.study import Study
from coarsefine.search.server.caching_storage import CachingStorage
from coarsefine.search.server.change_detector import ChangeDetector
from coarsefine.search.server.validation import InvalidStudy, check_study, is_valid
from coarsefine.search.storage import tables
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.trial_reader import UnreadableTrials

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


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A campaign at one moment."""

    revision: int
    """Grows with every change."""
    status: Status
    studies: Mapping[str, Study]
    """Studies of the stages that are open and valid, by study name."""
    seconds_left: Mapping[str, float | None]
    """Estimated seconds that each of these stages still takes, or None if unknown, by study name."""
    problems: tuple[str, ...]
    """Sentences that say what is left out."""
    bodies: dict[Any, Any] = field(default_factory=dict)
    """Response bodies made from this snapshot; `SnapshotCache` fills it."""


class SnapshotReader:
    """Reads the campaigns of a storage. Threads may share it; they wait for each other."""

    def __init__(self, storage: CachingStorage, changes: ChangeDetector) -> None:
        self._storage, self._changes = storage, changes
        self._lock = threading.Lock()
        self._index = StudyIndex()
        self._indexed_at: object = None
        self._snapshots: dict[str, tuple[object, Snapshot]] = {}
        self._slots: dict[int, _Slots] = {}

    def index(self) -> StudyIndex:
        """Return which studies belong to which campaign."""
        with self._lock:
            return self._index_at(self._changes.version())

    def read(self, name: str) -> Snapshot:
        """Return a snapshot of a campaign: the same object as before if nothing has changed.

        Raises `UsageError` if there is no such campaign, and `StorageError`.
        """
        with self._lock:
            version = self._changes.version()
            read_at, before = self._snapshots.get(name, (None, None))
            if before is not None and read_at == version and before.status.state != "running":
                return before
            index = self._index_at(version)
            if name not in index.stages:
                self._snapshots.pop(name, None)
                raise UsageError(f"There is no campaign '{name}'.")
            snapshot = self._read(name, index, before)
            self._snapshots[name] = (version, snapshot)
            return snapshot

    def _index_at(self, version: object) -> StudyIndex:
        if version != self._indexed_at:
            self._index = _read_index(self._storage, self._index)
            self._indexed_at = version
        return self._index

    def _read(self, name: str, index: StudyIndex, before: Snapshot | None) -> Snapshot:
        studies, problems = self._read_studies(name, index)
        if not studies:
            raise UsageError(f"Campaign '{name}' has no study that can be read. {' '.join(problems)}")
        status = replace(status_of(self._storage, name, studies), storage="", notes=())
        if (
            before is not None
            and (before.status, before.problems) == (status, problems)
            # The reader keeps trials that have not changed, so their identity is enough.
            and all(study.trials is before.studies[name].trials for name, study in studies.items())
        ):
            return before
        left = _seconds_left(status, studies)
        return Snapshot(before.revision + 1 if before else 1, status, studies, left, problems)

    def _read_studies(self, name: str, index: StudyIndex) -> tuple[dict[str, Study], tuple[str, ...]]:
        studies, problems = {}, list(index.problems.get(name, ()))
        whole: dict[str, Study] = {}
        for study_id, attrs in index.stages[name].items():
            study = f"{name}/{attrs['stage']}"
            try:
                slots = self._read_slots(study_id, attrs)
            except UnreadableTrials as error:
                problems.append(f"{study} is left out. {error}")
                continue
            studies[study] = Study(study_id, study, attrs, slots.valid)
            whole[study] = Study(study_id, study, attrs, slots.slots, slots.others)
            if slots.invalid:
                problems.append(
                    f"{slots.invalid} trials of {study} are left out: they do not hold what Coarsefine writes."
                )
        if whole:
            problems += notes_on(self._storage, campaign_of(whole, extra="ignore"), whole)
        return studies, tuple(problems)

    def _read_slots(self, study_id: int, attrs: dict[str, Any]) -> "_Slots":
        trials, space = self._storage.trials_of(study_id), Space.from_dict(attrs["space"])
        before = self._slots.get(study_id)
        if before is None or before.trials is not trials:
            # Trials that have not changed are the same objects, and need no second check.
            checked = {id(slot) for slot in before.valid} if before else set()
            slots, others = as_slots(trials, attrs)
            valid = tuple(slot for slot in slots if id(slot) in checked or is_valid(slot, space))
            self._slots[study_id] = _Slots(trials, slots, valid, others)
        return self._slots[study_id]


@dataclass(frozen=True, slots=True)
class _Slots:
    """A study's trials, those that are slots, the valid ones among these, and the numbers of the others."""

    trials: tuple[FrozenTrial, ...]
    slots: tuple[FrozenTrial, ...]
    valid: tuple[FrozenTrial, ...]
    others: tuple[int, ...]

    @property
    def invalid(self) -> int:
        """Return how many slots are invalid."""
        return len(self.slots) - len(self.valid)


def _seconds_left(status: Status, studies: Mapping[str, Study]) -> dict[str, float | None]:
    campaign = campaign_of(studies, extra="ignore")
    now = datetime.now()  # noqa: DTZ005 - Optuna's times are local and without a zone
    return {
        reached.study: stage_seconds_left(studies[reached.study], campaign, stage, reached.running, now)
        for stage, reached in zip(campaign.stages, status.stages, strict=True)
        if reached.study in studies
    }


def _read_index(storage: Storage, before: StudyIndex) -> StudyIndex:
    """Return the index as it is now: the same object as before if nothing has changed."""
    study, attr = tables.studies.c, tables.study_attrs.c
    with storage.guarded(), storage.engine.connect() as connection:
        named = connection.execute(sa.select(study.study_id, study.study_name).order_by(study.study_id))
        attrs = connection.execute(sa.select(attr.study_id, attr.key, attr.value_json))
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
