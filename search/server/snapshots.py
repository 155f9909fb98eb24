"""The campaigns of a storage as the server knows them: read by one reader, whoever asks, and only what changed."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from coarsefine.search.campaign.space import Space
from coarsefine.search.errors import UsageError
from coarsefine.search.results.status import Status, planned_stages, status_of
from coarsefine.search.results.study import Study
from coarsefine.search.results.time_left import seconds_left
from coarsefine.search.server.change_detector import ChangeDetector
from coarsefine.search.server.study_index import StudyIndex, read_study_index
from coarsefine.search.server.trial_reader import TrialReader, UnreadableTrials
from coarsefine.search.server.validation import is_slot, is_valid
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.tables import lease


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A campaign at one moment."""

    revision: int
    """Grows with every change."""
    status: Status
    studies: Mapping[str, Study]
    """Of the stages that are open and sound, by name."""
    seconds_left: Mapping[str, float | None]
    """How long each of these stages still takes, as far as that can be told, by its study's name."""
    problems: tuple[str, ...]
    """What is left out, in sentences."""
    answers: dict[Any, Any] = field(default_factory=dict)
    """What was made of this snapshot, for who asks for the same."""

    def same(self, status: Status, found: Mapping[str, Study], problems: tuple[str, ...]) -> bool:
        """Tell whether nothing has changed. Trials are compared by what they are, not by what they hold."""
        return (
            self.status == status
            and self.problems == problems
            and all(study.trials is self.studies[name].trials for name, study in found.items())
        )


class SnapshotReader:
    """The campaigns of a storage. Threads may share it; they wait for each other's reading."""

    def __init__(self, storage: Storage, trials: TrialReader, changes: ChangeDetector) -> None:
        self._storage, self._trials, self._changes = storage, trials, changes
        self._lock = threading.Lock()
        self._directory = StudyIndex()
        self._read_at: object = None
        self._snapshots: dict[str, tuple[object, Snapshot]] = {}
        self._slots: dict[int, _Slots] = {}

    def names(self) -> list[str]:
        """Return the campaigns' names, in the order they were begun."""
        with self._lock:
            return list(self._directory_at(self._changes.mark()).stages)

    def problems(self) -> list[str]:
        """Return what is left out and belongs to no campaign that can be shown, in sentences."""
        with self._lock:
            return self._directory_at(self._changes.mark()).strays

    def read(self, name: str) -> Snapshot:
        """Return a campaign as it stands, the same object as before where nothing has changed.

        Raises `UsageError` for a campaign that is not there, and `StorageError`.
        """
        with self._lock:
            mark = self._changes.mark()
            at, known = self._snapshots.get(name, (None, None))
            if known is not None and at == mark and known.status.state != "running":
                return known
            directory = self._directory_at(mark)
            if name not in directory.stages:
                self._snapshots.pop(name, None)
                raise UsageError(f"There is no campaign '{name}'.")
            snapshot = self._look(name, directory, known)
            self._snapshots[name] = (mark, snapshot)
            return snapshot

    def _directory_at(self, mark: object) -> StudyIndex:
        if mark != self._read_at:
            self._directory = read_study_index(self._storage, self._directory)
            self._read_at = mark
        return self._directory

    def _look(self, name: str, directory: StudyIndex, known: Snapshot | None) -> Snapshot:
        found, problems = {}, list(directory.problems.get(name, ()))
        for study_id, attrs in directory.stages[name].items():
            study = f"{name}/{attrs['stage']}"
            try:
                slots = self._slots_of(study_id, Space.from_dict(attrs["space"]))
            except UnreadableTrials as error:
                problems.append(f"{study} is left out. {error}")
                continue
            found[study] = Study(study_id, study, attrs, slots.sound)
            if slots.unsound:
                problems.append(
                    f"{slots.unsound} trials of {study} are left out: they do not hold what Coarsefine writes."
                )
        if not found:
            raise UsageError(f"Campaign '{name}' has no study that can be read. {' '.join(problems)}")
        status = status_of(name, "", found, self._count_training)
        if known is not None and known.same(status, found, tuple(problems)):
            return known
        left = _seconds_left(status, found)
        return Snapshot(known.revision + 1 if known else 1, status, found, left, tuple(problems))

    def _slots_of(self, study_id: int, space: Space) -> "_Slots":
        trials = self._trials.read(study_id)
        before = self._slots.get(study_id)
        if before is None or before.trials is not trials:
            checked = {id(slot) for slot in before.sound} if before else set()
            slots = [t for t in trials if id(t) in checked or is_slot(t)]
            sound = tuple(slot for slot in slots if id(slot) in checked or is_valid(slot, space))
            self._slots[study_id] = _Slots(trials, sound, len(slots) - len(sound))
        return self._slots[study_id]

    def _count_training(self, study_id: int) -> int:
        return self._storage.count_training(study_id) if sa.inspect(self._storage.engine).has_table(lease.name) else 0


@dataclass(frozen=True, slots=True)
class _Slots:
    """A study's trials, and those of them that are slots and can be drawn."""

    trials: tuple[FrozenTrial, ...]
    sound: tuple[FrozenTrial, ...]
    unsound: int


def _seconds_left(status: Status, found: Mapping[str, Study]) -> dict[str, float | None]:
    planned = {f"{status.campaign}/{stage['name']}": stage for stage in planned_stages(_config(found))}
    now = datetime.now()  # noqa: DTZ005 - Optuna's times are local and without a zone
    return {
        stage.study: seconds_left(found[stage.study], planned[stage.study]["epochs"], stage.running, now)
        for stage in status.stages
        if stage.study in found
    }


def _config(found: Mapping[str, Study]) -> dict[str, Any]:
    config: dict[str, Any] = next(iter(found.values())).attrs["config"]
    return config
