"""Choosing the winner of a campaign among finalists that are trained again on new seeds. Pure functions.

The highest of many noisy values owes as much to chance as to merit. So the best settings of all search stages are
trained again, all on the same seeds (the same initial weights and mini-batches), and their differences are compared
seed by seed. The intervals account for the seeds only: the validation images are the same for all finalists.

The winner is the simplest finalist within one standard error of the leader (the rule of Breiman, Friedman, Olshen &
Stone 1984 for pruning trees, here applied to paired differences).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.search.campaign.space import Point, Space

CONFIDENCE = 0.95
_SIMPLICITY = {"hidden": (-1, "the fewest hidden units"), "lambda": (1, "the largest λ"), "eta": (-1, "the smallest η")}
"""What makes a network simpler, in order of importance: the sign to sort a setting by, and the rule in words."""
_BOOTSTRAP_SAMPLES = 10_000
Values = Sequence[float | None]
"""A finalist's values by seed; None if the trial failed or has not ended."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completed trial of a search stage."""

    study: str
    number: int
    point: Point
    value: float
    """Its value in the search. A finalist's is optimistic, because the finalist was chosen by it."""

    def as_dict(self) -> dict[str, Any]:
        """Return the form used in JSON output and study attributes."""
        return {"study": self.study, "number": self.number, "params": self.point.as_dict(), "value": self.value}

    @classmethod
    def from_dict(cls, form: dict[str, Any]) -> "Candidate":
        """Read what `as_dict` returned, or its form in early versions, which searched only η and λ."""
        params = form.get("params") or {name: form[name] for name in ("eta", "lambda")}
        return cls(form["study"], form["number"], Point.of(params), form["value"])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n seeds with its confidence interval (Student's t)."""

    mean: float
    error: float
    """Standard error of the mean."""
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> "Estimate":
        """Estimate the mean of two values or more."""
        from scipy.special import stdtrit  # noqa: PLC0415 - slow to import, rarely needed

        mean, n = float(values.mean()), len(values)
        error = float(values.std(ddof=1)) / math.sqrt(n)
        half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error
        return cls(mean, error, mean - half, mean + half, n)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate that was trained again on every seed."""

    candidate: Candidate
    values: tuple[float | None, ...]
    """Values by seed."""
    confirmed: Estimate | None
    """Mean value over the seeds; None if it failed on one."""
    behind: Estimate | None
    """Mean difference to the leader, seed by seed; None for the leader itself."""
    probability: float
    """Probability that it is the best of all (paired bootstrap over the seeds)."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            **self.candidate.as_dict(),
            "values": list(self.values),
            "confirmed": self.confirmed.as_dict() if self.confirmed else None,
            "behind": self.behind.as_dict() if self.behind else None,
            "probability_best": self.probability,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The winner among the finalists, and how certain the choice is."""

    finalists: tuple[Finalist, ...]
    """Finalists by mean value, the best first; finalists that failed on a seed last."""
    winner: Finalist | None
    """None if every finalist failed on a seed."""
    tied: tuple[Finalist, ...]
    """The leader and all whose difference to it may be zero, by the interval; empty if the leader wins clearly."""
    close: int
    """Number of finalists within one standard error of the leader, including it."""

    @property
    def optimism(self) -> float | None:
        """Return the best value of the search less the mean of the same settings on the new seeds."""
        best = max(self.finalists, key=lambda f: f.candidate.value)
        return best.candidate.value - best.confirmed.mean if best.confirmed else None

    @property
    def summary(self) -> str:
        """Return the verdict as a sentence."""
        if self.winner is None:
            return "No finalist held on every seed."
        if not self.tied:
            return "A clear winner: every other finalist is behind on these seeds by more than chance."
        rule = _rule([finalist.candidate.point for finalist in self.finalists])
        choice = f"of the {self.close} within one standard error of the leader, {rule}"
        tie = f"A tie among {len(self.tied)} of {len(self.finalists)}, which these seeds cannot tell apart"
        return f"{tie}; taken: {choice}."

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "finalists": [finalist.as_dict() for finalist in self.finalists],
            "tied": [{"study": f.candidate.study, "number": f.candidate.number} for f in self.tied],
            "optimism": self.optimism,
            "verdict": self.summary,
        }


def choose_finalists(candidates: Iterable[Candidate], top: int, near: float, bounds: Space) -> list[Candidate]:
    """Return the best `top` candidates, leaving out any that is nearly the same as a better one.

    Two are nearly the same if all their settings are at most `near` apart: in decades for a log-uniform range, as a
    share of the bounds for a linear one; other settings must be equal. Of equal values the earlier counts as better.
    """
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: -c.value):
        if len(chosen) < top and not any(bounds.near(candidate.point, other.point, near) for other in chosen):
            chosen.append(candidate)
    return chosen


def judge(candidates: Sequence[Candidate], values: Sequence[Values], seed: int) -> Verdict:
    """Return the verdict on candidates, given their values by seed. `seed` draws the bootstrap samples."""
    complete = [place for place, own in enumerate(values) if None not in own]
    table = np.array([values[place] for place in complete], dtype=np.float64)
    probabilities = dict(zip(complete, _probabilities(table, seed), strict=True))
    leader = complete[int(table.mean(axis=1).argmax())] if complete else None
    finalists = [
        _finalist(candidate, tuple(own), _compared_with(values, leader, place), probabilities.get(place, 0.0))
        for place, (candidate, own) in enumerate(zip(candidates, values, strict=True))
    ]
    ranked = sorted(finalists, key=lambda f: -f.confirmed.mean if f.confirmed else math.inf)
    tied = [f for f in ranked if f.confirmed and (f.behind is None or f.behind.low <= 0)]
    close = [f for f in tied if f.behind is None or f.behind.mean <= f.behind.error]
    # Of equally simple ones `max` returns the first, which has the best mean.
    winner = max(close, key=lambda f: _simplicity_of(f.candidate.point), default=None)
    return Verdict(tuple(ranked), winner, tuple(tied) if len(tied) > 1 else (), len(close))


def _simplicity_of(point: Point) -> list[float]:
    """Return the sort key of a point; among points of one space, a higher key is a simpler network."""
    return [sign * float(point[name]) for name, (sign, _) in _SIMPLICITY.items() if name in point]


def _rule(points: Sequence[Point]) -> str:
    rules = [words for name, (_, words) in _SIMPLICITY.items() if name in points[0]]
    return f"that of {', then of '.join(rules)}, as the simplest" if rules else "that of the best mean"


def _compared_with(values: Sequence[Values], leader: int | None, place: int) -> Values | None:
    """Return the leader's values to compare a finalist with; None for the leader itself."""
    return None if leader is None or place == leader else values[leader]


def _finalist(candidate: Candidate, values: tuple[float | None, ...], ahead: Values | None, best: float) -> Finalist:
    if None in values:
        return Finalist(candidate, values, None, None, best)
    own = np.array(values, dtype=np.float64)
    behind = None if ahead is None else Estimate.of(np.array(ahead, dtype=np.float64) - own)
    return Finalist(candidate, values, Estimate.of(own), behind, best)


def _probabilities(table: npt.NDArray[np.float64], seed: int) -> list[float]:
    """Return how often each row has the highest mean in bootstrap samples of the columns; equal rows share."""
    if not table.size:
        return []
    seeds = table.shape[1]
    drawn = np.random.default_rng(seed).integers(0, seeds, size=(_BOOTSTRAP_SAMPLES, seeds))
    means = table[:, drawn].mean(axis=2)
    best = np.isclose(means, means.max(axis=0), rtol=0, atol=1e-12)
    shares: list[float] = (best / best.sum(axis=0)).mean(axis=1).tolist()
    return shares
