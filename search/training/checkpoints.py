"""Checkpoints of unfinished slots on this machine's disk: a kill costs about an epoch, not a whole trial.

The storage does not know about them. A released slot restarts with its first epoch, unless the worker that claims it
finds a checkpoint here. A slot trains to the same bits each time, so a checkpoint can be old but never wrong. That is
why nothing is locked or forced to the disk: a file that a power cut damaged fails its checksum, and its slot restarts.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from coarsefine.model.arithmetic import arithmetic_name
from coarsefine.search.files import Arrays, read_checksummed, write_checksummed
from coarsefine.search.storage.slots import Slot

_FORM = 3
_FOLDER = "unfinished"
_ABANDONED_SECONDS = 7 * 24 * 3600
"""Checkpoints of a study that was not touched for this long are removed."""
State = Arrays
"""Named arrays from which, with its point and seed, a slot's training resumes."""


@dataclass(slots=True)
class History:
    """A slot's values, losses and further metrics of each epoch so far; what is not finite, or missing, is None."""

    values: list[float]
    train_loss: list[float | None]
    validation_loss: list[float | None]
    metrics: dict[str, list[float | None]] = field(default_factory=dict)

    def add_metrics(self, metrics: Mapping[str, float | None]) -> None:
        """Add the further metrics of the epoch whose value comes next."""
        earlier = len(self.values)
        for name in self.metrics.keys() | metrics.keys():
            self.metrics.setdefault(name, [None] * earlier).append(metrics.get(name))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A slot after an epoch: its history, and the state from which its training resumes."""

    history: History
    state: State

    @property
    def epoch(self) -> int:
        """Return how many epochs the slot was trained."""
        return len(self.history.values)


class Checkpoints:
    """The newest checkpoint of each slot of one study, for the processes of this machine."""

    of_user_code = False
    """Whether they accompany files of user code: they are written after each epoch, and stay with a failed trial's."""

    def __init__(self, folder: Path, on_warning: Callable[[str], None] = lambda _: None) -> None:
        self._folder, self._on_warning = folder, on_warning
        self._warned = False

    @classmethod
    def of(cls, study: str, cache: Path, on_warning: Callable[[str], None]) -> Self:
        """Return the checkpoints of a study, given by its `id`, in the cache folder.

        Machines with other arithmetic have their own checkpoints, even in a shared folder: they may round differently.
        """
        made_from = {"form": _FORM, "study": study, "arithmetic": arithmetic_name()}
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        _remove_abandoned(cache / _FOLDER)
        return cls(cache / _FOLDER / key, on_warning)

    def save(self, slot: Slot, checkpoint: Checkpoint) -> bool:
        """Replace the slot's checkpoint and return True; if it cannot be written, warn once and return False."""
        payload = {"slot": slot.as_dict(), "history": asdict(checkpoint.history)}
        try:
            write_checksummed(self._path(slot.number), payload, checkpoint.state)
        except OSError as error:
            if not self._warned:
                self._on_warning(
                    f"{self._folder} cannot keep the weights of unfinished trials ({error.strerror or error}): after a "
                    "kill they restart with their first epoch. Free some space, make the folder writable, or set "
                    "COARSEFINE_CACHE to another folder."
                )
            self._warned = True
            return False
        return True

    def load(self, slot: Slot) -> Checkpoint | None:
        """Return a slot's checkpoint; None if there is none, or if it is damaged or of another slot."""
        try:
            found = read_checksummed(self._path(slot.number))
        except ValueError:  # damaged by a power cut
            return None
        if found is None:
            return None
        payload, state = found
        return Checkpoint(History(**payload["history"]), state) if payload["slot"] == slot.as_dict() else None

    def forget(self, numbers: Iterable[int]) -> None:
        """Remove the checkpoints of slots."""
        for number in numbers:
            with suppress(OSError):
                self._path(number).unlink()

    def clear(self) -> None:
        """Remove all checkpoints of the study."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.checkpoint"


class ReportedEpochs(Checkpoints):
    """What resumable user code has reported of each trial; its own checkpoints are in the trials' folders."""

    of_user_code = True

    def clear(self) -> None:
        """Keep what belongs to failed trials, which may be tried again; the others' is removed when they end."""


def size_of(cache: Path) -> int:
    """Return the size in bytes of all checkpoints in a cache folder."""
    return sum(path.stat().st_size for path in (cache / _FOLDER).glob("*/*"))


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        for kept in folder.iterdir():
            if time.time() - kept.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(kept, ignore_errors=True)
