"""The folder of a final training: its lock, its checkpoint, and the files that the training leaves."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.model import Network
from coarsefine.model.atomic_files import remove_leftovers
from coarsefine.search.campaign.sections import FinalSettings
from coarsefine.search.errors import UsageError
from coarsefine.search.files import Arrays, read_checksummed, unwritable, write_atomic, write_checksummed
from coarsefine.search.network.export import text_of
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.model_card import card_of
from coarsefine.search.results.final_result import FinalResult, Reproduction

try:
    import fcntl
except ImportError:  # on Windows nothing keeps two processes from training in one folder
    fcntl = None  # type: ignore[assignment]

MODEL, EXPORT, RESULT = "model.npz", "export.json", "final.json"
_CARD, _FIGURE, _TABLE = "MODEL_CARD.md", "curves.html", "curves.csv"
_CHECKPOINT, _LOCK = "unfinished.checkpoint", ".lock"
_FILES = (MODEL, EXPORT, RESULT, _CARD, _FIGURE, _TABLE, _CHECKPOINT)
_RESTART = {"version", "arithmetic", "versions"}
"""Inputs of a checkpoint that may differ. The training then starts over."""
History = npt.NDArray[np.float64]
"""(epochs, seeds, 3): training loss, validation loss, validation accuracy."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a final training after an epoch."""

    reproduction: Reproduction
    seconds: float
    """Time spent so far."""
    history: History
    states: Sequence[Arrays]
    """The arrays of each network, in the order of the seeds."""


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """The folder of one final training."""

    path: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder if necessary, and lock it for this process.

        Raises `UsageError` if the folder holds other files or another process has locked it, and `StorageError` if it
        cannot be written, here or in the body of the `with` statement.
        """
        names = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if names and not names & {RESULT, _CHECKPOINT, _LOCK}:
            raise UsageError(f"{self.path} holds other files: name an empty or a new folder as --output.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / _LOCK).open("wb") as lock:
                if fcntl is not None:
                    _lock(lock.fileno(), self.path)
                remove_leftovers(self.path, *_FILES)
                yield
        except OSError as error:
            raise unwritable(self.path, error) from error

    def read_result(self) -> FinalResult | None:
        """Return the result of a finished training, or None. Raises `UsageError` for a damaged file."""
        path = self.path / RESULT
        try:
            return FinalResult.from_dict(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read ({error}): name another --output, or remove it.") from error

    def read_checkpoint(self, inputs: Mapping[str, Any], warn: Callable[[str], None]) -> Checkpoint | None:
        """Return the last checkpoint if it was made from the same inputs, or None if the training must start over.

        `warn` is called if a checkpoint cannot be used. Raises `UsageError` if it belongs to another training.
        """
        try:
            stored = read_checksummed(self.path / _CHECKPOINT)
        except ValueError as error:
            warn(f"{error}: the final training starts over.")
            return None
        if stored is None:
            return None
        payload, arrays = stored
        different = [name for name, value in inputs.items() if payload.get(name) != value]
        if not different:
            return _checkpoint(payload, arrays)
        if not _RESTART.issuperset(different):
            raise UsageError(
                f"{self.path} holds an unfinished training with another export or other settings: name another "
                f"--output, or remove {_CHECKPOINT} there."
            )
        names = " and ".join(different)
        warn(f"The unfinished training in {self.path} was made with another {names}: it starts over.")
        return None

    def write_checkpoint(self, inputs: Mapping[str, Any], checkpoint: Checkpoint) -> None:
        """Write a checkpoint, in place of the last one. Raises `OSError`."""
        payload = {**inputs, "reproduction": asdict(checkpoint.reproduction), "seconds": checkpoint.seconds}
        states = {f"{k}_{name}": array for k, state in enumerate(checkpoint.states) for name, array in state.items()}
        write_checksummed(self.path / _CHECKPOINT, payload, {**states, "history": checkpoint.history})

    def remove_checkpoint(self) -> None:
        """Remove the checkpoint, if there is one."""
        (self.path / _CHECKPOINT).unlink(missing_ok=True)

    def write_training(self, network: Network, export: Export, seeds: Sequence[int], history: History) -> None:
        """Write networks, export and curves. Validation values of the history may be NaN. Raises `StorageError`."""
        try:
            network.save(self.path / MODEL)
        except OSError as error:
            raise unwritable(self.path / MODEL, error) from error
        write_atomic(self.path / EXPORT, text_of(export))
        write_atomic(self.path / _TABLE, _table(seeds, history))

    def write_result(self, result: FinalResult) -> None:
        """Write the result, which marks the training as finished. Raises `StorageError`."""
        write_atomic(self.path / RESULT, json.dumps(result.as_attr(), indent=2) + "\n")

    def write_summary(self, export: Export, result: FinalResult) -> None:
        """Write the model card and the figure of a finished training if they are missing. Raises `StorageError`."""
        network = Network.load(self.path / MODEL)
        if not (self.path / _CARD).exists():
            write_atomic(self.path / _CARD, card_of(export, result, network))
        if not (self.path / _FIGURE).exists():
            write_atomic(self.path / _FIGURE, _figure(result, export.campaign.name))


def folder_name(export: Export, settings: FinalSettings) -> str:
    """Return the folder name of a final training, which no other export or settings share."""
    key = json.dumps([export.digest, settings.model_dump(mode="json")])
    return f"{export.campaign.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"Another process trains in {folder}: wait for it, or name another --output.") from error


def _checkpoint(payload: Mapping[str, Any], arrays: Arrays) -> Checkpoint:
    states: dict[int, dict[str, npt.NDArray[Any]]] = {}
    for key, array in arrays.items():
        if key != "history":
            index, _, name = key.partition("_")
            states.setdefault(int(index), {})[name] = array
    reproduction = Reproduction(**payload["reproduction"])
    return Checkpoint(reproduction, payload["seconds"], arrays["history"], [states[k] for k in sorted(states)])


def _table(seeds: Sequence[int], history: History) -> str:
    lines = ["seed,epoch,train_loss,validation_loss,validation_accuracy"]
    for epoch, rows in enumerate(history, 1):
        for seed, row in zip(seeds, rows, strict=True):
            cells = ("" if np.isnan(value) else repr(float(value)) for value in row)
            lines.append(f"{seed},{epoch},{','.join(cells)}")
    return "\n".join([*lines, ""])


def _figure(result: FinalResult, name: str) -> str:
    """Return the mean curves as a page that opens offline."""
    from coarsefine.search.charts import curves, themed  # noqa: PLC0415 - Plotly: workers and most commands do without

    losses = {"training": result.curves.train_loss, "validation": result.curves.validation_loss}
    figure = themed(curves({name: values for name, values in losses.items() if values}, "loss"), "light")
    figure.update_layout(title=f"Final training of {name}, mean of {len(result.seeds)}", paper_bgcolor="#fff")
    return str(figure.to_html(include_plotlyjs=True))
