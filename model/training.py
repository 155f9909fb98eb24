"""Training a stack of trials: one report per epoch and trial; a diverged trial leaves the stack.

A trial's numbers depend on its hyperparameters, the settings and the data alone: the others of its stack change no bit.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from coarsefine.model.arithmetic import Arithmetic, best_arithmetic, has_kernel
from coarsefine.model.datasets import Dataset, Part
from coarsefine.model.epoch import Epoch, Rates
from coarsefine.model.hyperparameters import Hyperparameters, TrainingSettings
from coarsefine.model.network import Floats, Parameters

_FILLING_ROWS, _LARGEST_STACK = 800, 64
"""Rows T·m above which the kernel is near its best speed, and the trials above which no stack gains anything."""
_BEFORE = "_prev"
"""Suffix of the arrays of θ_prev in a trial's state."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean cross-entropy without the penalty, and the fraction of images that are classified correctly."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Report:
    """Results of one trial in one epoch."""

    number: int
    """Number of the trial in its training."""
    epoch: int
    train_loss: float
    """Mean cross-entropy of the epoch's mini-batches, each evaluated before its step."""
    validation: Evaluation
    diverged: bool

    @property
    def divergence(self) -> str:
        """Return the reason in words, for a trial that diverged."""
        return f"diverged in epoch {self.epoch}: training loss {self.train_loss:.4g}"


@dataclass(slots=True)
class Training:
    """A stack in training: the trials that are still in it, by number, and their parameters."""

    trials: list[Hyperparameters]
    numbers: list[int]
    """Number of each trial; it stays the same when others leave the stack."""
    settings: TrainingSettings
    data: Dataset
    theta: Parameters
    previous: Parameters
    arithmetic: Arithmetic
    epoch: int = 0

    @classmethod
    def start(
        cls,
        trials: Sequence[Hyperparameters],
        settings: TrainingSettings,
        data: Dataset,
        numbers: Sequence[int] | None = None,
        *,
        threads: int = 1,
    ) -> Self:
        """Draw the initial weights of all trials, which are numbered from 0 unless `numbers` are given.

        `threads` share the rows of the networks. They change no bit, and are worth it where cores would be idle.
        """
        d, C = data.train.x.shape[1], len(data.classes)
        theta = Parameters.draw([t.seed for t in trials], d, settings.hidden, C, settings.precision)
        numbers = range(len(trials)) if numbers is None else numbers
        return cls(list(trials), list(numbers), settings, data, theta, theta.copy(), best_arithmetic(threads))

    @classmethod
    def resume(
        cls, trials: Sequence[Hyperparameters], settings: TrainingSettings, data: Dataset, numbers: Sequence[int],
        epoch: int, states: Sequence[Mapping[str, Floats]], *, threads: int = 1,
    ) -> Self:  # fmt: skip
        """Continue trials after an epoch from the states that `state_of` returned, to the same bits.

        Raises `ValueError` for states of another network.
        """
        training = cls.start(trials, settings, data, numbers, threads=threads)
        for place, state in enumerate(states):
            before = {name.removesuffix(_BEFORE): array for name, array in state.items() if name.endswith(_BEFORE)}
            training.theta.set_trial(place, state)
            training.previous.set_trial(place, before)
        training.epoch = epoch
        return training

    def state_of(self, number: int) -> dict[str, Floats]:
        """Return θ and θ_prev of one trial. With its hyperparameters, they determine the rest of its training."""
        place = self.numbers.index(number)
        before = {name + _BEFORE: array for name, array in self.previous.trial_arrays(place).items()}
        return {**self.theta.trial_arrays(place), **before}

    def run_epoch(self) -> list[Report]:
        """Train one epoch; return a report of every trial in the stack, and drop the trials that diverged."""
        self.epoch += 1
        n = len(self.data.train.y)
        # The report names a divergence, so the overflow that leads to it needs no warning.
        with np.errstate(all="ignore"):
            epoch = Epoch.draw(self.data.train, self.settings, self.epoch, self.data.shape)
            losses = self.arithmetic.train_epoch(self.theta, self.previous, self._rates(), epoch)
            validations = evaluate(self.theta, self.data.validation, self.arithmetic)
        reports = [
            Report(number, self.epoch, loss, validation, not (math.isfinite(loss) and math.isfinite(validation.loss)))
            for number, loss, validation in zip(self.numbers, map(float, losses / n), validations, strict=True)
        ]
        self.drop([r.number for r in reports if r.diverged])
        return reports

    def drop(self, numbers: Collection[int]) -> None:
        """Remove trials from the stack; this changes no bit of the others."""
        if not numbers:
            return
        places = [place for place, number in enumerate(self.numbers) if number not in numbers]
        self.theta, self.previous = self.theta.select(places), self.previous.select(places)
        self.trials = [self.trials[place] for place in places]
        self.numbers = [self.numbers[place] for place in places]

    def join(self, other: "Training") -> None:
        """Add the trials of another training after the same epoch, with their own numbers."""
        if other.epoch != self.epoch or set(other.numbers) & set(self.numbers):
            raise ValueError("only trainings after the same epoch, with different numbers, can be joined")
        self.theta, self.previous = self.theta.concatenate(other.theta), self.previous.concatenate(other.previous)
        self.trials += other.trials
        self.numbers += other.numbers

    def _rates(self) -> Rates:
        return Rates(
            eta=np.array([t.learning_rate(self.epoch) for t in self.trials], np.float64),
            lam=np.array([t.lam for t in self.trials], np.float64),
            rho=np.array([t.rho for t in self.trials], np.float64),
        )


def train(
    trials: Sequence[Hyperparameters], settings: TrainingSettings, data: Dataset, *, threads: int = 1
) -> Iterator[list[Report]]:
    """Train a stack; yield the reports of each epoch, until the last one or until every trial has diverged."""
    training = Training.start(trials, settings, data, threads=threads)
    while training.numbers and training.epoch < settings.epochs:
        yield training.run_epoch()


def evaluate(theta: Parameters, part: Part, arithmetic: Arithmetic | None = None) -> list[Evaluation]:
    """Return loss and accuracy of every trial on one part of a dataset."""
    losses, hits = (arithmetic or best_arithmetic()).evaluate(theta, part)
    n = len(part.y)
    return [Evaluation(float(loss), float(hit)) for loss, hit in zip(losses / n, hits / n, strict=True)]


def fitting_width(settings: TrainingSettings) -> int:
    """Return the number of trials to train together: those whose rows fill the kernel's loops, at least one."""
    return max(1, min(_FILLING_ROWS // settings.hidden, _LARGEST_STACK)) if has_kernel() else 1
