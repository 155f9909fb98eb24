"""The weights of slots amid their training, on this machine's disk: a kill costs an epoch or so, not a whole trial.

The queue knows nothing of them. A slot that was given back begins with its first epoch, unless whoever claims it finds
here what its last worker left. Since a slot trains to the same bits each time, all that can be wrong with a checkpoint
is its age. Hence nothing is locked, and nothing forced to the disk: a file that a power cut tore has wrong checksums,
and its slot begins anew.
"""

import hashlib
import json
import os
import shutil
import socket
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search.slot import Slot

_FORM = 1
_ABANDONED_SECONDS = 7 * 24 * 3600
"""What nobody came back to for a week, nobody will."""
State = Mapping[str, npt.NDArray[Any]]
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

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self._folder, self._say = folder, say
        self._failed = False

    @classmethod
    def of(
        cls, storage: str, study: str, fingerprint: Mapping[str, Any], cache: Path, say: Callable[[str], None]
    ) -> "Checkpoints":
        """Return those in the cache folder that go with a study: of the same campaign, data, versions and machine.

        Another machine may round differently, though it share the folder.
        """
        host = socket.gethostname()
        made_from = {"form": _FORM, "storage": storage, "study": study, "host": host, **fingerprint}
        key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        all_of_them = cache / "unfinished"
        _remove_abandoned(all_of_them)
        return cls(all_of_them / key, say)

    def save(self, slot: Slot, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint instead of the slot's last one. Where there is no room for it, that is said, once."""
        told = json.dumps({"slot": asdict(slot), **asdict(checkpoint.history)})
        path = self._path(slot.number)
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, told=np.array(told), **checkpoint.state)
            unfinished.replace(path)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            self._complain(error)

    def load(self, slot: Slot) -> Checkpoint | None:
        """Return a slot's checkpoint; None where there is none, or none that is whole."""
        try:
            with self._path(slot.number).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                told = json.loads(str(arrays["told"]))
                state = {name: arrays[name] for name in arrays.files if name != "told"}
            if told.pop("slot") != asdict(slot):
                return None
            return Checkpoint(History(**told), state)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None

    def forget(self, numbers: Iterable[int]) -> None:
        """Remove the checkpoints of slots that have ended."""
        for number in numbers:
            with suppress(OSError):
                self._path(number).unlink()

    def clear(self) -> None:
        """Remove all: the study has ended."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.npz"

    def _complain(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._say(
                f"{self._folder} cannot keep the weights of unfinished trials ({error.strerror or error}): after a "
                "kill they begin with their first epoch. Make room there, or name another folder in COARSEFINE_CACHE."
            )


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        for kept in folder.iterdir():
            if time.time() - kept.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(kept, ignore_errors=True)
