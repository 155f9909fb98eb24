"""Training a stack of trials: one report per epoch and trial; a diverged trial leaves the stack.

A trial's numbers depend on its hyperparameters, the settings and the data alone. Trials of a stack share matrix
products, which changes no bit of them (see `coarsefine.model.products`). BLAS must use one thread.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Dataset, Part
from coarsefine.model.hyperparameters import Hyperparameters, TrainingSettings
from coarsefine.model.network import Parameters, activate
from coarsefine.model.products import Floats, padded, projected
from coarsefine.model.sgd import Batch, HeavyBall, Rates

_CHUNK = 250
"""Number of images evaluated at once: enough to fill the products, few enough to keep the activations in the cache."""
_FILLING_ROWS, _LARGEST_STACK = 600, 64
"""Rows T·m above which the products are near their best speed, and the trials above which no stack gains anything."""
_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_USUAL_CACHE = 16 * 2**20
_HALF = 0.5
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
    epoch: int = 0

    @classmethod
    def start(
        cls,
        trials: Sequence[Hyperparameters],
        settings: TrainingSettings,
        data: Dataset,
        numbers: Sequence[int] | None = None,
    ) -> Self:
        """Draw the initial weights of all trials, which are numbered from 0 unless `numbers` are given."""
        d, C = data.train.x.shape[1], len(data.classes)
        theta = Parameters.draw([t.seed for t in trials], d, settings.hidden, C, settings.precision)
        numbers = range(len(trials)) if numbers is None else numbers
        return cls(list(trials), list(numbers), settings, data, theta, theta.copy())

    @classmethod
    def resume(
        cls, trials: Sequence[Hyperparameters], settings: TrainingSettings, data: Dataset, numbers: Sequence[int],
        epoch: int, states: Sequence[Mapping[str, Floats]],
    ) -> Self:  # fmt: skip
        """Continue trials after an epoch from the states that `state_of` returned, to the same bits.

        Raises `ValueError` for states of another network.
        """
        training = cls.start(trials, settings, data, numbers)
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
        # The report names a divergence, so the overflow that leads to it needs no warning.
        with np.errstate(all="ignore"):
            train_losses = self._pass_over_training_data()
            validations = evaluate(self.theta, self.data.validation)
        reports = [
            Report(number, self.epoch, loss, validation, not (math.isfinite(loss) and math.isfinite(validation.loss)))
            for number, loss, validation in zip(self.numbers, train_losses, validations, strict=True)
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

    def _pass_over_training_data(self) -> list[float]:
        total = np.zeros(len(self.numbers))
        ball = HeavyBall.start(self.theta, self.previous, self._rates())
        batches = self._batches()
        first = next(batches)
        S = ball.project(first)
        batch: Batch | None = first
        while batch is not None:
            following = next(batches, None)
            act = activate(ball.theta, S, batch.y)
            total += act.losses.sum(axis=1, dtype=np.float64)
            S = ball.step(batch, act, following)
            batch = following
        self.theta, self.previous = ball.finish()
        return [float(loss) for loss in total / len(self.data.train.y)]

    def _batches(self) -> Iterator[Batch]:
        part = self.data.train
        images = image_order(len(part.y), self.settings, self.epoch)
        mirrored = mirrored_images(len(part.y), self.settings, self.epoch)
        for start in range(0, len(images), self.settings.batch):
            chosen = images[start : start + self.settings.batch]
            x, y = part.x, part.y
            if self.settings.mirror:  # whole images, since a block of a batch need not contain whole rows
                x, y = mirror(x[chosen], mirrored[chosen], self.data.shape), y[chosen]
                chosen = np.arange(len(chosen))
            yield Batch.gather(x, y, chosen, self.settings.precision)

    def _rates(self) -> Rates:
        return Rates(
            eta=np.array([t.learning_rate(self.epoch) for t in self.trials]),
            lam=np.array([t.lam for t in self.trials]),
            rho=np.array([t.rho for t in self.trials]),
        )


def train(trials: Sequence[Hyperparameters], settings: TrainingSettings, data: Dataset) -> Iterator[list[Report]]:
    """Train a stack; yield the reports of each epoch, until the last one or until every trial has diverged."""
    training = Training.start(trials, settings, data)
    while training.numbers and training.epoch < settings.epochs:
        yield training.run_epoch()


def image_order(n: int, settings: TrainingSettings, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the order of n images in an epoch: a function of `order_seed` and the epoch alone."""
    if settings.order == "fixed":
        return np.arange(n)
    return np.random.default_rng([settings.order_seed, epoch]).permutation(n)


def mirrored_images(n: int, settings: TrainingSettings, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which of n images are mirrored in an epoch: each with probability 1/2, or none."""
    if not settings.mirror:
        return np.zeros(n, np.bool_)
    # A random stream of its own, so that mirroring does not change the order of the images.
    return np.random.default_rng([settings.order_seed, epoch, 1]).random(n) < _HALF


def mirror(x: Floats, which: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> Floats:
    """Mirror the images of x (b, d) marked by `which` (b,) left to right, in place, and return x.

    `shape` is that of one image, with rows of pixels along its last axis. Raises `ValueError` if it is no image's.
    """
    if len(shape) == 1:
        raise ValueError(f"{shape[0]} features have no left and right")
    rows = x.reshape(len(x), -1, shape[-1])
    rows[which] = rows[which][:, :, ::-1]
    return x


def evaluate(theta: Parameters, part: Part) -> list[Evaluation]:
    """Return loss and accuracy of every trial on one part of a dataset."""
    T, n = len(theta.W1), len(part.y)
    losses, hits = np.zeros(T), np.zeros(T, np.int64)
    W1 = padded(theta.W1)
    for start in range(0, n, _CHUNK):
        y = part.y[start : start + _CHUNK]
        x = part.x[start : start + _CHUNK].astype(theta.W1.dtype, copy=False)
        act = activate(theta, projected(W1, x), y)
        losses += act.losses.sum(axis=1, dtype=np.float64)
        hits += (act.P.argmax(axis=1) == y).sum(axis=1)
    return [Evaluation(float(loss), float(hit)) for loss, hit in zip(losses / n, hits / n, strict=True)]


def fitting_width(settings: TrainingSettings, d: int) -> int:
    """Return the number of trials to train together: those whose two buffers of W1 (m, d) take half the L3 cache.

    If that is too few to fill the matrix products, return the number that fills them. Share of one core's sgemm peak on
    20,000 × 3,072 images, m = 50, batch 100 (AMD Zen 4, 32 MiB of L3 cache, median of 5): 0.67 for T = 4, 0.73 for 8,
    0.76 for 12, 0.77 for 16, 0.77 for 25, 0.78 for 50.
    """
    trial = 2 * settings.hidden * d * np.dtype(settings.precision).itemsize
    least = -(-_FILLING_ROWS // settings.hidden)
    return max(1, min(max(_last_level_cache() // 2 // trial, least), _LARGEST_STACK))


def _last_level_cache() -> int:
    """Return the size of this machine's L3 cache in bytes, or a usual size if it is unknown."""
    try:
        return int(_CACHE.read_text("ascii").strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        return _USUAL_CACHE
