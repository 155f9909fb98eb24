"""The final training: an exported trial for many epochs and seeds, measured once on the test images.

First the trial is trained once more as it was, which shows that what the search saw can be had again. Then all seeds
train as one stack. Everything goes into one folder, and there a checkpoint, too, amid the training. What the folder
holds when a process dies tells the next one where to go on; test images are used again only where it died between
using them and writing down what came of it, the next thing it does.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from coarsefine.model import Evaluation, Network, Report, Training, evaluate
from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.schema import FinalSettings
from coarsefine.search.errors import Interrupted, NothingCompleted, UsageError
from coarsefine.search.files import (
    Arrays,
    read_checksummed,
    remove_leftovers,
    unwritable,
    write_atomic,
    write_checksummed,
)
from coarsefine.search.network.artifacts import MODEL, write_story, write_training
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.reproduce import reproduce
from coarsefine.search.results.final_result import Curves, FinalResult, Reproduction
from coarsefine.search.training.identity import arithmetic_name, versions

try:
    import fcntl
except ImportError:  # Windows: two trainings in one folder at once are the user's to avoid
    fcntl = None  # type: ignore[assignment]

OUTCOME = "final.json"
_CHECKPOINT, _LOCK = "unfinished.checkpoint", ".lock"
_VERSION = 1
"""Of what a checkpoint holds."""
_SAVE_SECONDS = 0.5
"""Between checkpoints, beside the epoch: what a kill costs."""
_LEAST_SAVES_APART = 20
"""And how many times as long as it takes to write them."""


@dataclass(slots=True)
class FinalTraining:
    """One final training, from its beginning or its last checkpoint."""

    export: Export
    final_settings: FinalSettings
    folder: Path
    load: Callable[[], Dataset]
    """Returns the images; not called where the training was finished before."""
    told: Callable[[int, float | None], None]
    """Hears each epoch, and the mean validation accuracy after it, if validation images are not trained on."""
    warn: Callable[[str], None]
    stop: Callable[[], bool]
    """Asked after each epoch: whether to leave, and go on another time."""
    _history: list[list[tuple[float, float, float]]] = field(default_factory=list)
    """Training loss, validation loss and accuracy of each epoch and seed."""
    _reproduction: Reproduction | None = None
    _saved: float = field(default_factory=time.monotonic)
    _apart: float = _SAVE_SECONDS
    _before: float = 0.0
    """Seconds that it took before this process came."""
    _began: float = field(default_factory=time.monotonic)

    def run(self) -> FinalResult:
        """Train, measure, and write the folder; where all that was done before, return what came of it.

        Raises `UsageError` where the folder holds something else or another process trains in it, `DataError` for other
        images than the trial's or values that cannot be reproduced, `NothingCompleted` where a seed diverges,
        `Interrupted` when asked to stop, `StorageError` where the folder cannot be written.
        """
        with self._alone(), threadpool_limits(1):
            final = self._done()
            if final is None:
                final = self._train_and_measure()
            write_story(self.folder, self.export, final, Network.load(self.folder / MODEL))
            (self.folder / _CHECKPOINT).unlink(missing_ok=True)
        return final

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds: the trial's own, then such as follow from it."""
        own = self.export.trial.seed
        repeats = range(1, self.final_settings.seeds)
        others = [np.random.SeedSequence(own, spawn_key=(k,)).generate_state(1) for k in repeats]
        return (own, *(int(state[0]) for state in others))

    @property
    def decay(self) -> float:
        """Return the factor on η after each epoch: the final settings', else the trial's."""
        return self.export.settings.decay if self.final_settings.decay is None else self.final_settings.decay

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder, made where it is not there, for this process alone."""
        self._refuse_foreign()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / _LOCK).open("wb") as lock:
                if fcntl is not None:
                    _hold(lock.fileno(), self.folder)
                remove_leftovers(self.folder)
                yield
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def _refuse_foreign(self) -> None:
        there = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if there and not there & {OUTCOME, _CHECKPOINT, _LOCK}:
            raise UsageError(f"{self.folder} holds other files: name an empty --output, or one that is not there yet.")

    def _done(self) -> FinalResult | None:
        """Return what a finished training left in the folder, if one did; raise `UsageError` where it was another."""
        path = self.folder / OUTCOME
        try:
            final = FinalResult.from_attr(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"{path} cannot be read ({error!r}): name another --output, or remove it.") from error
        theirs = (final.export, final.epochs, final.seeds, final.decay, final.on_validation)
        wanted = self.final_settings
        if theirs != (self.export.digest, wanted.epochs, self.seeds, self.decay, wanted.on_validation):
            raise UsageError(f"{self.folder} holds another final training: name another --output.")
        return replace(final, folder=str(self.folder))

    def _train_and_measure(self) -> FinalResult:
        arrays = self._load_checkpoint()
        data = self.load()
        self.export.data.check(data)
        if self._reproduction is None:
            self._reproduction = reproduce(self.export, data, self.stop)
        training = self._begin(data, arrays)
        if arrays is None:
            self._save(training)  # a folder that takes no checkpoint is told before the training, not after it
        self._train(training)
        history = np.array(self._history)
        if self.final_settings.on_validation:
            history[..., 1:] = np.nan
        write_training(self.folder, Network.of(training.theta, data), self.export, self.seeds, history)
        final = self._measure(training, history)
        write_atomic(self.folder / OUTCOME, json.dumps(final.as_attr(), indent=2) + "\n")
        return final

    def _begin(self, data: Dataset, arrays: Arrays | None) -> Training:
        """Return the training as its last checkpoint has it, else before its first epoch."""
        trials = [self.export.hyperparameters(seed, self.decay) for seed in self.seeds]
        settings = self.export.training_settings(self.final_settings.epochs)
        images = data.training_on_validation() if self.final_settings.on_validation else data
        lanes = range(len(trials))
        if arrays is None:
            return Training.start(trials, settings, images, lanes)
        states = [_with_prefix(arrays, f"{lane}_") for lane in lanes]
        return Training.resume(trials, settings, images, lanes, len(self._history), states)

    def _load_checkpoint(self) -> Arrays | None:
        """Return the weights of the last checkpoint, and take over its history; None where there is none of use."""
        try:
            found = read_checksummed(self.folder / _CHECKPOINT)
        except ValueError as error:
            self.warn(f"{error}: the final training is begun anew.")
            return None
        if found is None:
            return None
        told, arrays = found
        other = [name for name, value in self._key().items() if told.get(name) != value]
        if {"export", "recipe"} & set(other):
            raise UsageError(
                f"{self.folder} holds an unfinished training of another {' and '.join(other)}: name another --output, "
                f"or remove {_CHECKPOINT} there."
            )
        if other:
            self.warn(f"What is unfinished in {self.folder} has other {' and '.join(other)}: it is begun anew.")
            return None
        self._history = [[(a, b, c) for a, b, c in epoch] for epoch in arrays["history"].tolist()]
        self._reproduction, self._before = Reproduction(**told["reproduction"]), told["seconds"]
        return arrays

    def _key(self) -> dict[str, Any]:
        """Return what a checkpoint must have been made from to be gone on with here, to the same bits."""
        recipe, made = (
            self.final_settings.model_dump(mode="json"),
            {"arithmetic": arithmetic_name(), "versions": versions()},
        )
        return {"export": self.export.digest, "recipe": recipe, "version": _VERSION, **made}

    def _train(self, training: Training) -> None:
        while training.epoch < self.final_settings.epochs:
            reports = training.run_epoch()
            self._refuse_divergence(reports)
            self._history.append([(r.train_loss, r.validation.loss, r.validation.accuracy) for r in reports])
            mean = float(np.mean([report.validation.accuracy for report in reports]))
            self.told(training.epoch, None if self.final_settings.on_validation else mean)
            stop = self.stop()
            if stop or time.monotonic() >= self._saved + self._apart:
                self._save(training)
            if stop:
                raise Interrupted("Stopped within the final training.")

    def _refuse_divergence(self, reports: list[Report]) -> None:
        for report in reports:
            if report.diverged:
                raise NothingCompleted(
                    f"The final training of seed {self.seeds[report.lane]} {report.divergence}. Train with fewer "
                    "epochs or another decay, or search again with a lower upper bound of eta, under another name."
                )

    def _save(self, training: Training) -> None:
        started = time.monotonic()
        arrays = {f"{k}_{name}": array for k in training.lanes for name, array in training.state_of(k).items()}
        assert self._reproduction is not None, "the trial was reproduced before"  # noqa: S101
        told = {**self._key(), "reproduction": asdict(self._reproduction), "seconds": self._seconds}
        write_checksummed(self.folder / _CHECKPOINT, told, {**arrays, "history": np.array(self._history)})
        self._saved = time.monotonic()
        self._apart = max(_SAVE_SECONDS, _LEAST_SAVES_APART * (self._saved - started))

    @property
    def _seconds(self) -> float:
        return round(self._before + time.monotonic() - self._began, 3)

    def _measure(self, training: Training, history: np.ndarray[Any, np.dtype[np.float64]]) -> FinalResult:
        """Measure the trained networks: the one moment at which test images are used."""
        theta, data = training.theta, training.data
        validation = [] if self.final_settings.on_validation else evaluate(theta, data.validation)
        ensemble = Network.of(theta, data).probabilities(data.test.x).argmax(axis=1)
        assert self._reproduction is not None, "the trial was reproduced before"  # noqa: S101
        libraries = ", ".join(f"{name} {number}" for name, number in versions().items())
        return FinalResult(
            study=self.export.trial.study,
            number=self.export.trial.number,
            params=dict(self.export.trial.params),
            epochs=self.final_settings.epochs,
            seeds=self.seeds,
            decay=self.decay,
            on_validation=self.final_settings.on_validation,
            images=(len(data.train.y), len(data.validation.y), len(data.test.y)),
            train_accuracies=_accuracies(evaluate(theta, data.train)),
            validation_accuracies=_accuracies(validation),
            test_accuracies=_accuracies(evaluate(theta, data.test)),
            ensemble_accuracy=float((ensemble == data.test.y).mean()),
            reproduction=self._reproduction,
            export=self.export.digest,
            folder=str(self.folder),
            made_by=f"{libraries}; {arithmetic_name()}",
            seconds=self._seconds,
            ended=datetime.now(UTC).isoformat(),
            curves=Curves.of(history),
        )


def _hold(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"Another process trains in {folder}: wait for it, or name another --output.") from error


def _accuracies(measured: list[Evaluation]) -> tuple[float, ...]:
    return tuple(one.accuracy for one in measured)


def _with_prefix(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
