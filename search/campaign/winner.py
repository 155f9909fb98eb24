"""The winner of a campaign, earned: its finalists, trained again on fresh seeds, and compared. Pure functions.

The highest of many noisy values is chosen by chance as much as by merit. So the best settings of all search stages are
trained again, each on the same seeds (the same initial weights and mini-batches for all of them), and what counts is
how they differ, seed by seed. The intervals are of the seeds: the validation images are the same for all.

Of finalists that cannot be told from the leader, the simplest within one standard error of it is taken (the rule of
Breiman, Friedman, Olshen & Stone 1984 for pruning trees, here on paired differences).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.search.campaign.space import Point, Space

CONFIDENCE = 0.95
_SIMPLER = {"hidden": (-1, "the fewest hidden units"), "lambda": (1, "the largest λ"), "eta": (-1, "the smallest η")}
"""What makes a network the simpler one, what counts most first: more of it or less, and in words."""
_DRAWS = 10_000
Values = Sequence[float | None]
"""A finalist's validation accuracies, one for each seed; None where it failed or has not ended."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completed trial of a search stage."""

    study: str
    number: int
    point: Point
    value: float
    """Its validation accuracy in the search: of a finalist an optimistic one, since it was chosen for it."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, also that of the study's attribute."""
        return {"study": self.study, "number": self.number, "params": self.point.as_dict(), "value": self.value}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> "Candidate":
        """Read what `as_dict` wrote, of an earlier Coarsefine too: then there was nothing but η and λ."""
        params = told.get("params") or {name: told[name] for name in ("eta", "lambda")}
        return cls(told["study"], told["number"], Point.of(params), told["value"])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds, with its confidence interval (Student's t)."""

    mean: float
    error: float
    """Standard error of the mean."""
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> "Estimate":
        """Take it of two values or more."""
        from scipy.special import stdtrit  # noqa: PLC0415 - a tenth of a second to import, needed by few

        mean, n = float(values.mean()), len(values)
        error = float(values.std(ddof=1)) / math.sqrt(n)
        half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error
        return cls(mean, error, mean - half, mean + half, n)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate after it was trained again."""

    candidate: Candidate
    values: tuple[float | None, ...]
    """By seed."""
    confirmed: Estimate | None
    """None where it failed on a seed."""
    behind: Estimate | None
    """How far the leader is ahead, seed by seed; None of the leader itself."""
    probability: float
    """That it is the best of all: how often it is when the seeds are drawn anew (paired bootstrap)."""

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
    """Who won, and how surely."""

    finalists: tuple[Finalist, ...]
    """The best mean first; those that failed on a seed last."""
    winner: Finalist | None
    """None where each failed on some seed."""
    tied: tuple[Finalist, ...]
    """Those whose interval of the difference to the leader holds zero, it among them; empty where it won clearly."""
    close: int
    """How many of them are within one standard error of the leader, it included."""

    @property
    def optimism(self) -> float | None:
        """Return by how much the search's best value was above what came out when it was trained again."""
        plain = max(self.finalists, key=lambda f: f.candidate.value)
        return plain.candidate.value - plain.confirmed.mean if plain.confirmed else None

    @property
    def summary(self) -> str:
        """Return the verdict in a sentence."""
        if self.winner is None:
            return "No finalist held on every seed."
        if not self.tied:
            return "A clear winner: every other finalist is behind on these seeds by more than chance."
        rule = _rule([finalist.candidate.point for finalist in self.finalists])
        taken = f"of the {self.close} within one standard error of the leader, {rule}"
        tie = f"A tie among {len(self.tied)} of {len(self.finalists)}, which these seeds cannot tell apart"
        return f"{tie}; taken: {taken}."

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "finalists": [finalist.as_dict() for finalist in self.finalists],
            "tied": [{"study": f.candidate.study, "number": f.candidate.number} for f in self.tied],
            "optimism": self.optimism,
            "verdict": self.summary,
        }


def choose_finalists(candidates: Iterable[Candidate], top: int, near: float, bounds: Space) -> list[Candidate]:
    """Return the best `top` settings; of settings nearly the same, the better one.

    They are, if `near` one another in all: in decades of a log-uniform range, in a share of a linear one of the bounds,
    and else the very same. Of equal values the earlier one counts as the better.
    """
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: -c.value):
        if len(chosen) < top and not any(bounds.near(candidate.point, other.point, near) for other in chosen):
            chosen.append(candidate)
    return chosen


def judge(candidates: Sequence[Candidate], values: Sequence[Values], seed: int) -> Verdict:
    """Return the verdict on finalists with their values by seed; `seed` draws the bootstrap."""
    steady = [place for place, of_one in enumerate(values) if None not in of_one]
    table = np.array([values[place] for place in steady], dtype=np.float64)
    probabilities = dict(zip(steady, _probabilities(table, seed), strict=True))
    leader = steady[int(table.mean(axis=1).argmax())] if steady else None
    finalists = [
        _finalist(candidate, tuple(of_one), _row(values, leader, place), probabilities.get(place, 0.0))
        for place, (candidate, of_one) in enumerate(zip(candidates, values, strict=True))
    ]
    ranked = sorted(finalists, key=lambda f: -f.confirmed.mean if f.confirmed else math.inf)
    level = [f for f in ranked if f.confirmed and (f.behind is None or f.behind.low <= 0)]
    close = [f for f in level if f.behind is None or f.behind.mean <= f.behind.error]
    winner = max(close, key=lambda f: _simplicity(f.candidate.point), default=None)  # of equals, the best mean
    return Verdict(tuple(ranked), winner, tuple(level) if len(level) > 1 else (), len(close))


def _simplicity(point: Point) -> list[float]:
    """Return by what points of one space are compared: the higher, the simpler the network."""
    return [sign * float(point[name]) for name, (sign, _) in _SIMPLER.items() if name in point]


def _rule(points: Sequence[Point]) -> str:
    told = [words for name, (_, words) in _SIMPLER.items() if name in points[0]]
    return f"that of {', then of '.join(told)}, as the simplest" if told else "that of the best mean"


def _row(values: Sequence[Values], leader: int | None, place: int) -> Values | None:
    """Return the leader's values, for whoever is not the leader."""
    return None if leader is None or place == leader else values[leader]


def _finalist(candidate: Candidate, values: tuple[float | None, ...], ahead: Values | None, best: float) -> Finalist:
    if None in values:
        return Finalist(candidate, values, None, None, best)
    own = np.array(values, dtype=np.float64)
    behind = None if ahead is None else Estimate.of(np.array(ahead, dtype=np.float64) - own)
    return Finalist(candidate, values, Estimate.of(own), behind, best)


def _probabilities(table: npt.NDArray[np.float64], seed: int) -> list[float]:
    """Return how often each row has the highest mean when the columns are drawn anew; equal ones share."""
    if not table.size:
        return []
    seeds = table.shape[1]
    drawn = np.random.default_rng(seed).integers(0, seeds, size=(_DRAWS, seeds))
    means = table[:, drawn].mean(axis=2)
    best = np.isclose(means, means.max(axis=0), rtol=0, atol=1e-12)
    shares: list[float] = (best / best.sum(axis=0)).mean(axis=1).tolist()
    return shares
