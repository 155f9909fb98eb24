"""Snapshots of campaigns: read the campaigns of a storage for the server, each time only what has changed."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

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
from coarsefine.search.results.study_index import StudyIndex, none_readable, read_index
from coarsefine.search.results.validation import valid_slots
from coarsefine.search.server.caching_storage import CachingStorage
from coarsefine.search.server.change_detector import ChangeDetector
from coarsefine.search.storage.readable_trials import Unreadable


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
                raise UsageError(none_readable(name, index.problems.get(name, ())))
            snapshot = self._read(name, index, before)
            self._snapshots[name] = (version, snapshot)
            return snapshot

    def _index_at(self, version: object) -> StudyIndex:
        if version != self._indexed_at:
            self._index = read_index(self._storage, self._index)
            self._indexed_at = version
        return self._index

    def _read(self, name: str, index: StudyIndex, before: Snapshot | None) -> Snapshot:
        studies, problems = self._read_studies(name, index)
        status = replace(status_of(self._storage, name, studies), storage="")
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
        studies: dict[str, Study] = {}
        whole: dict[str, Study] = {}
        for header in index.stages[name]:
            attrs, study = header.attrs, f"{name}/{header.attrs['stage']}"
            slots = self._read_slots(header.id, attrs)
            studies[study] = Study(header.id, study, attrs, slots.valid)
            whole[study] = Study(
                header.id,
                study,
                attrs,
                slots.slots,
                slots.others,
                slots.left_out,
                called=header.name if header.name != study else None,
                edits=header.edits,
                label_notes=header.label_notes,
            )
        campaign = campaign_of(whole, extra="ignore")
        return studies, (*index.problems.get(name, ()), *notes_on(self._storage, campaign, whole))

    def _read_slots(self, study_id: int, attrs: dict[str, Any]) -> "_Slots":
        trials, unreadable = self._storage.readable_trials_of(study_id)
        before = self._slots.get(study_id)
        if before is None or before.trials is not trials or before.unreadable != unreadable:
            # Trials that have not changed are the same objects, and need no second check.
            checked = {id(slot) for slot in before.valid} if before else set()
            slots, others = as_slots(trials, attrs)
            valid, invalid = valid_slots(slots, Space.from_dict(attrs["space"]), checked)
            self._slots[study_id] = _Slots(trials, unreadable, slots, valid, others, (*unreadable, *invalid))
        return self._slots[study_id]


@dataclass(frozen=True, slots=True)
class _Slots:
    """A study's trials, its slots among them, the valid ones of these, the others' numbers, and what is left out."""

    trials: tuple[FrozenTrial, ...]
    unreadable: tuple[Unreadable, ...]
    slots: tuple[FrozenTrial, ...]
    valid: tuple[FrozenTrial, ...]
    others: tuple[int, ...]
    left_out: tuple[Unreadable, ...]


def _seconds_left(status: Status, studies: Mapping[str, Study]) -> dict[str, float | None]:
    campaign = campaign_of(studies, extra="ignore")
    now = datetime.now()  # noqa: DTZ005 - Optuna's times are local and without a zone
    return {
        reached.study: stage_seconds_left(studies[reached.study], campaign, stage, reached.running, now)
        for stage, reached in zip(campaign.stages, status.stages, strict=True)
        if reached.study in studies
    }
