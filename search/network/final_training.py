"""The final training: an exported trial, trained for many epochs and seeds, and measured once on the test images.

First the trial is trained again as it was, which shows that its values can be reproduced. Then all seeds train as one
stack. The folder holds a checkpoint during the training and the result after it, so a new process continues where a
killed one was. The test images are used twice only if a process dies after it has used them and before it has written
the result, which is the next thing it does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from coarsefine.model import Network, Training, evaluate, train
from coarsefine.model.arithmetic import arithmetic_name, instruction_set
from coarsefine.model.datasets import Dataset, Part
from coarsefine.model.errors import DataError
from coarsefine.search.campaign.sections import FinalSettings
from coarsefine.search.errors import Interrupted, NothingCompleted, UsageError
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.training_folder import Checkpoint, History, TrainingFolder
from coarsefine.search.results.final_result import Curves, FinalResult, Reproduction
from coarsefine.search.training.identity import versions

_VERSION = 1
"""Version of a checkpoint's content."""
_SAVE_SECONDS = 0.5
"""Shortest time between two checkpoints. A kill costs this much, and the epoch it interrupts."""
_SAVE_SHARE = 20
"""Checkpoints are at least this many times as far apart as one takes to write."""
_TOLERANCE = 0.05
"""Largest difference of an epoch's accuracy on a machine that rounds differently: 50 images of 1,000."""


@dataclass(slots=True)
class FinalTraining:
    """A final training, from its start or its last checkpoint to its result."""

    export: Export
    settings: FinalSettings
    folder: TrainingFolder
    load: Callable[[], Dataset]
    """Return the images. Not called if the training has finished before."""
    on_epoch: Callable[[int, float | None], None]
    """Called after each epoch with its number and the mean validation accuracy, None if validation images are trained
    on."""
    warn: Callable[[str], None]
    stop: Callable[[], bool]
    """Called after each epoch: whether to write a checkpoint and raise `Interrupted`."""
    threads: int = 1
    """Threads that train together. They change no bit."""
    _history: list[list[tuple[float, float, float]]] = field(default_factory=list)
    """Training loss, validation loss and validation accuracy of each epoch and seed."""
    _started: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)
    _save_interval: float = _SAVE_SECONDS

    def run(self) -> FinalResult:
        """Train, measure and write the folder; if all that has been done before, return its result.

        Raises `UsageError` if the folder holds something else or another process trains in it, `DataError` for other
        images than the trial's or values that cannot be reproduced, `NothingCompleted` if a seed diverges,
        `Interrupted` if `stop` returns true, and `StorageError` if the folder cannot be written.
        """
        with self.folder.locked(), threadpool_limits(1):
            result = self._earlier_result() or self._train_and_measure()
            self.folder.write_summary(self.export, result)
            self.folder.remove_checkpoint()
        return result

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds: the trial's own, and more that are derived from it."""
        return self.settings.seeds_after(self.export.trial.seed)

    @property
    def decay(self) -> float:
        """Return the factor on η after each epoch: the final settings' or else the trial's."""
        own = float(self.export.settings.values["decay"])
        return own if self.settings.decay is None else self.settings.decay

    @property
    def _inputs(self) -> dict[str, Any]:
        """Return what determines the bits of the training. A checkpoint resumes only if it was made from the same."""
        settings = self.settings.model_dump(mode="json")
        made_by = {"arithmetic": arithmetic_name(), "versions": versions()}
        return {"export": self.export.digest, "recipe": settings, "version": _VERSION, **made_by}

    def _earlier_result(self) -> FinalResult | None:
        """Return the result in the folder, if any. Raises `UsageError` if it is of another training."""
        result = self.folder.read_result()
        if result is None:
            return None
        found = (result.export, result.epochs, result.seeds, result.decay, result.on_validation)
        settings = self.settings
        if found != (self.export.digest, settings.epochs, self.seeds, self.decay, settings.on_validation):
            raise UsageError(f"{self.folder.path} holds another final training: name another --output.")
        return replace(result, folder=str(self.folder.path))

    def _train_and_measure(self) -> FinalResult:
        checkpoint = self.folder.read_checkpoint(self._inputs, self.warn)
        data = self.load()
        self.export.data.check(data)
        reproduction = checkpoint.reproduction if checkpoint else reproduce(self.export, data, self.stop, self.threads)
        training = self._start(data, checkpoint)
        if checkpoint is None:
            self._save(training, reproduction)  # a folder that cannot be written is reported before training
        self._train(training, reproduction)
        history = np.array(self._history)
        if self.settings.on_validation:
            history[..., 1:] = np.nan
        network = Network.of(training.theta, data)
        self.folder.write_training(network, self.export, self.seeds, history)
        result = self._result(training, network, reproduction, history)
        self.folder.write_result(result)
        return result

    def _start(self, data: Dataset, checkpoint: Checkpoint | None) -> Training:
        """Return the training at its checkpoint, or before its first epoch."""
        trials = [self.export.hyperparameters(seed, self.decay) for seed in self.seeds]
        settings = self.export.training_settings(self.settings.epochs)
        images = data.training_on_validation() if self.settings.on_validation else data
        if checkpoint is None:
            return Training.start(trials, settings, images, threads=self.threads)
        self._history = [[(a, b, c) for a, b, c in epoch] for epoch in checkpoint.history.tolist()]
        self._started -= checkpoint.seconds
        done = len(self._history)
        return Training.resume(
            trials, settings, images, range(len(trials)), done, checkpoint.states, threads=self.threads
        )

    def _train(self, training: Training, reproduction: Reproduction) -> None:
        while training.epoch < self.settings.epochs:
            reports = training.run_epoch()
            for report in reports:
                if report.diverged:
                    raise NothingCompleted(
                        f"The final training of seed {self.seeds[report.number]} {report.divergence}. Train with fewer "
                        "epochs or another decay, or search again with a lower upper bound of eta, under another name."
                    )
            self._history.append([(r.train_loss, r.validation.loss, r.validation.accuracy) for r in reports])
            mean = float(np.mean([report.validation.accuracy for report in reports]))
            self.on_epoch(training.epoch, None if self.settings.on_validation else mean)
            stop = self.stop()
            if stop or time.monotonic() >= self._saved + self._save_interval:
                self._save(training, reproduction)
            if stop:
                raise Interrupted("Stopped during the final training.")

    def _save(self, training: Training, reproduction: Reproduction) -> None:
        started = time.monotonic()
        states = [training.state_of(number) for number in training.numbers]
        history: History = np.array(self._history)
        self.folder.write_checkpoint(self._inputs, Checkpoint(reproduction, self._seconds, history, states))
        self._saved = time.monotonic()
        self._save_interval = max(_SAVE_SECONDS, _SAVE_SHARE * (self._saved - started))

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _result(
        self, training: Training, network: Network, reproduction: Reproduction, history: History
    ) -> FinalResult:
        libraries = ", ".join(f"{name} {number}" for name, number in versions().items())
        return FinalResult(
            study=self.export.trial.study,
            number=self.export.trial.number,
            params=dict(self.export.trial.params),
            epochs=self.settings.epochs,
            seeds=self.seeds,
            decay=self.decay,
            on_validation=self.settings.on_validation,
            images=training.data.counts,
            **_measure(training, network, on_validation=self.settings.on_validation),
            reproduction=reproduction,
            export=self.export.digest,
            folder=str(self.folder.path),
            made_by=f"{libraries}; {', '.join(filter(None, (arithmetic_name(), instruction_set())))}",
            seconds=self._seconds,
            ended=datetime.now(UTC).isoformat(),
            curves=Curves.of(history),
        )


def reproduce(export: Export, data: Dataset, stop: Callable[[], bool], threads: int = 1) -> Reproduction:
    """Train the exported trial again as it was, and compare its values with the recorded ones.

    Raises `DataError` if they differ although this machine rounds as the trial's did, or by more than rounding
    explains; `Interrupted` if `stop` returns true after an epoch.
    """
    recorded = export.trial.values
    values = _train_again(export, data, stop, threads)
    differences = [abs(a - b) if np.isfinite(a) else 1.0 for a, b in zip(values, recorded, strict=False)]
    exact = values == recorded
    like = (export.trial.arithmetic, export.versions) == (arithmetic_name(), versions())
    largest = max(differences) if len(values) == len(recorded) else 1.0
    if not exact and (like or largest > _TOLERANCE):
        k = next((k for k, difference in enumerate(differences) if difference), len(differences) - 1)
        raise DataError(
            f"Trial {export.trial.study}#{export.trial.number} cannot be reproduced: epoch {k + 1} gave "
            f"{values[k]:.4f}, and {recorded[k]:.4f} was recorded"
            + (" by a machine with the same rounding" if like else f"; rounding explains {_TOLERANCE} at most")
            + ". Compare the export with its studies: `coarsefine status`."
        )
    return Reproduction(exact, largest, like)


def _measure(training: Training, network: Network, *, on_validation: bool) -> dict[str, Any]:
    """Return the accuracies of the trained networks, as fields of `FinalResult`; the only use of the test images.

    With `on_validation`, the validation images were trained on, and nothing is measured on them.
    """
    theta, data = training.theta, training.data

    def accuracies(part: Part) -> tuple[float, ...]:
        return tuple(evaluation.accuracy for evaluation in evaluate(theta, part, training.arithmetic))

    ensemble = network.probabilities(data.test.x).argmax(axis=1)
    return {
        "train_accuracies": accuracies(data.train),
        "validation_accuracies": () if on_validation else accuracies(data.validation),
        "test_accuracies": accuracies(data.test),
        "ensemble_accuracy": float((ensemble == data.test.y).mean()),
    }


def _train_again(export: Export, data: Dataset, stop: Callable[[], bool], threads: int) -> list[float]:
    trial, settings = export.hyperparameters(export.trial.seed), export.training_settings(len(export.trial.values))
    values: list[float] = []
    for reports in train([trial], settings, data, threads=threads):
        values += [report.validation.accuracy for report in reports]
        if stop():
            raise Interrupted("Stopped while the exported trial was trained again.")
    return values
