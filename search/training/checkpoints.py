"""The weights of slots amid their training, on this machine's disk: a kill costs an epoch or so, not a whole trial.

The queue knows nothing of them. A slot that was given back begins with its first epoch, unless whoever claims it finds
here what its last worker left. Since a slot trains to the same bits each time, all that can be wrong with a checkpoint
is its age. Hence nothing is locked, and nothing forced to the disk: a file that a power cut tore has another digest,
and its slot begins anew.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from coarsefine.search.files import Arrays, read_checksummed, write_checksummed
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.identity import arithmetic_name

_FORM = 3
_FOLDER = "unfinished"
_ABANDONED_SECONDS = 7 * 24 * 3600
"""What nobody came back to for a week, nobody will."""
State = Arrays
"""Named arrays that the rest of a slot's training follows from, with its point and seed."""


@dataclass(slots=True)
class History:
    """What became of a slot in each epoch so far; losses are None where they are not finite."""

    values: list[float]
    train_loss: list[float | None]
    validation_loss: list[float | None]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A slot after an epoch: its history, and what its training goes on from."""

    history: History
    state: State

    @property
    def epoch(self) -> int:
        """Return how many epochs it was trained."""
        return len(self.history.values)


class Checkpoints:
    """The newest checkpoint of each slot of one study, for the processes of this machine."""

    def __init__(self, folder: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        self._folder, self._warn = folder, warn
        self._warned = False

    @classmethod
    def of(cls, study: str, cache: Path, warn: Callable[[str], None]) -> Self:
        """Return those in the cache folder of a study, known by its `id`, that were made by arithmetic like ours.

        Another processor may round differently, though it share the folder.
        """
        made_from = {"form": _FORM, "study": study, "arithmetic": arithmetic_name()}
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        _remove_abandoned(cache / _FOLDER)
        return cls(cache / _FOLDER / key, warn)

    def save(self, slot: Slot, checkpoint: Checkpoint) -> bool:
        """Keep a checkpoint instead of the slot's last one; where that cannot be done, warn once and return False."""
        told = {"slot": slot.as_dict(), "history": asdict(checkpoint.history)}
        try:
            write_checksummed(self._path(slot.number), told, checkpoint.state)
        except OSError as error:
            self._complain(error)
            return False
        return True

    def load(self, slot: Slot) -> Checkpoint | None:
        """Return a slot's checkpoint; None where there is none, or none that is whole."""
        try:
            found = read_checksummed(self._path(slot.number))
        except ValueError:  # torn by a power cut: the slot begins anew
            return None
        if found is None:
            return None
        told, state = found
        return Checkpoint(History(**told["history"]), state) if told["slot"] == slot.as_dict() else None

    def forget(self, numbers: Iterable[int]) -> None:
        """Remove the checkpoints of slots that have ended."""
        for number in numbers:
            with suppress(OSError):
                self._path(number).unlink()

    def clear(self) -> None:
        """Remove all: the study has ended."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.checkpoint"

    def _complain(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"{self._folder} cannot keep the weights of unfinished trials ({error.strerror or error}): after a "
                "kill they begin with their first epoch. Make room or give yourself the right to write there, or name "
                "another folder in COARSEFINE_CACHE."
            )


def size_of(cache: Path) -> int:
    """Return how many bytes a cache folder holds of unfinished trials."""
    return sum(path.stat().st_size for path in (cache / _FOLDER).glob("*/*"))


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        for kept in folder.iterdir():
            if time.time() - kept.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(kept, ignore_errors=True)
