"""The training driver: one report per epoch and trial; a diverged trial leaves the stack.

Determinism: a trial's numbers depend on its hyperparameters, the settings and the data alone. Whoever shares its stack
shares matrix products with it, never a bit (see `coarsefine.model.products`); keep BLAS to one thread.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from coarsefine.model.datasets import Dataset, Part
from coarsefine.model.hyperparameters import Hyperparameters, TrainingSettings
from coarsefine.model.network import Floats, Parameters, activate
from coarsefine.model.products import filled_up, projected
from coarsefine.model.schedule import decayed
from coarsefine.model.sgd import Batch, HeavyBall, Rates

_CHUNK = 250
"""Images evaluated at once: enough to fill the products, few enough that their activations stay in cache."""
_HALF = 0.5
_BEFORE = "_prev"
"""Marks the arrays of θ_prev in a trial's state."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean cross-entropy (without the penalty) and fraction of images classified rightly."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Report:
    """One trial after one epoch.

    `train_loss` is the mean cross-entropy of the epoch's mini-batches, each before its step: what training saw.
    """

    lane: int
    """The trial's name in its training: its place in the sequence that was handed in, or the number it was given."""
    epoch: int
    train_loss: float
    validation: Evaluation
    diverged: bool

    @property
    def divergence(self) -> str:
        """The reason in words, for a trial that diverged."""
        return f"diverged in epoch {self.epoch}: training loss {self.train_loss:.4g}"


@dataclass(slots=True)
class Training:
    """A stack in training: its parameters, and the trials still in it, each in a lane that keeps its name."""

    trials: list[Hyperparameters]
    lanes: list[int]
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
        lanes: Sequence[int] | None = None,
    ) -> Self:
        """Draw the initial weights of all trials; lanes are numbered from 0 where no names are given."""
        d, C = data.train.x.shape[1], len(data.classes)
        theta = Parameters.draw([t.seed for t in trials], d, settings.hidden, C, settings.precision)
        names = range(len(trials)) if lanes is None else lanes
        return cls(list(trials), list(names), settings, data, theta, theta.copy())

    @classmethod
    def resume(
        cls, trials: Sequence[Hyperparameters], settings: TrainingSettings, data: Dataset, lanes: Sequence[int],
        epoch: int, states: Sequence[Mapping[str, Floats]],
    ) -> Self:  # fmt: skip
        """Go on with trials after an epoch, from what `state_of` returned of each: to the same bits.

        Raises `ValueError` for states of another network.
        """
        training = cls.start(trials, settings, data, lanes)
        for place, state in enumerate(states):
            before = {name.removesuffix(_BEFORE): array for name, array in state.items() if name.endswith(_BEFORE)}
            training.theta.put(place, state)
            training.previous.put(place, before)
        training.epoch = epoch
        return training

    def state_of(self, lane: int) -> dict[str, Floats]:
        """Return θ and θ_prev of one trial, from which, with its hyperparameters, the rest of its training follows."""
        place = self.lanes.index(lane)
        before = {name + _BEFORE: array for name, array in self.previous.trial(place).items()}
        return {**self.theta.trial(place), **before}

    def run_epoch(self) -> list[Report]:
        """Train one epoch; report on every trial that was in the stack, then let the diverged go."""
        self.epoch += 1
        # Divergence is a result, told in the report: the overflow on the way to it need not warn anyone.
        with np.errstate(all="ignore"):
            train_losses = self._pass_over_training_data()
            validations = evaluate(self.theta, self.data.validation)
        reports = [
            Report(lane, self.epoch, loss, validation, not _finite(loss, validation.loss))
            for lane, loss, validation in zip(self.lanes, train_losses, validations, strict=True)
        ]
        self.drop([r.lane for r in reports if r.diverged])
        return reports

    def drop(self, lanes: Collection[int]) -> None:
        """Take trials out of the stack; the others go on as if they had never been there."""
        if not lanes:
            return
        places = [place for place, lane in enumerate(self.lanes) if lane not in lanes]
        self.theta, self.previous = self.theta.keep(places), self.previous.keep(places)
        self.trials = [self.trials[place] for place in places]
        self.lanes = [self.lanes[place] for place in places]

    def join(self, other: "Training") -> None:
        """Take in the trials of another training that has come as far, under their own lanes."""
        if other.epoch != self.epoch or set(other.lanes) & set(self.lanes):
            raise ValueError("only trainings after the same epoch, with different lanes, can be joined")
        self.theta, self.previous = self.theta.beside(other.theta), self.previous.beside(other.previous)
        self.trials += other.trials
        self.lanes += other.lanes

    def _pass_over_training_data(self) -> list[float]:
        total = np.zeros(len(self.lanes))
        ball = HeavyBall.begin(self.theta, self.previous, self._rates())
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
        self.theta, self.previous = ball.end()
        return [float(loss) for loss in total / len(self.data.train.y)]

    def _batches(self) -> Iterator[Batch]:
        part = self.data.train
        images = image_order(len(part.y), self.settings, self.epoch)
        mirrored = image_sides(len(part.y), self.settings, self.epoch)
        for start in range(0, len(images), self.settings.batch):
            chosen = images[start : start + self.settings.batch]
            batch = Batch.gather(part.x, part.y, chosen, self.settings.precision)
            yield batch.mirrored(mirrored[chosen], self.data.shape[-1]) if self.settings.mirror else batch

    def _rates(self) -> Rates:
        return Rates(
            eta=np.array([decayed(t.eta, t.decay, self.epoch) for t in self.trials]),
            lam=np.array([t.lam for t in self.trials]),
            rho=np.array([t.rho for t in self.trials]),
        )


def train(trials: Sequence[Hyperparameters], settings: TrainingSettings, data: Dataset) -> Iterator[list[Report]]:
    """Train a stack; yield the reports of each epoch until the last, or until every trial has diverged."""
    training = Training.start(trials, settings, data)
    while training.lanes and training.epoch < settings.epochs:
        yield training.run_epoch()


def image_order(n: int, settings: TrainingSettings, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the order of n images in an epoch: a function of the order's seed and the epoch alone."""
    if settings.order == "fixed":
        return np.arange(n)
    return np.random.default_rng([settings.order_seed, epoch]).permutation(n)


def image_sides(n: int, settings: TrainingSettings, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell of n images which are mirrored in an epoch: each with a chance of one half, or none."""
    if not settings.mirror:
        return np.zeros(n, np.bool_)
    # A stream of its own: the order of the images is the same with and without.
    return np.random.default_rng([settings.order_seed, epoch, 1]).random(n) < _HALF


def evaluate(theta: Parameters, part: Part) -> list[Evaluation]:
    """Return loss and accuracy of every trial on a part of the data."""
    T, n = len(theta.W1), len(part.y)
    losses, hits = np.zeros(T), np.zeros(T, np.int64)
    W1 = filled_up(theta.W1)
    for start in range(0, n, _CHUNK):
        y = part.y[start : start + _CHUNK]
        x = part.x[start : start + _CHUNK].astype(theta.W1.dtype, copy=False)
        act = activate(theta, projected(W1, x), y)
        losses += act.losses.sum(axis=1, dtype=np.float64)
        hits += (act.P.argmax(axis=1) == y).sum(axis=1)
    return [Evaluation(float(loss), float(hit)) for loss, hit in zip(losses / n, hits / n, strict=True)]


def _finite(*values: float) -> bool:
    return all(map(math.isfinite, values))
