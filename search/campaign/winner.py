"""Choosing the winner of a campaign among finalists that are trained again on new seeds. Pure functions.

The highest of many noisy values owes as much to chance as to merit. So the best settings of all search stages are
trained again, all on the same seeds (the same initial weights and mini-batches), and their differences are compared
seed by seed. The intervals account for the seeds only: the validation images are the same for all finalists.

The winner is the simplest finalist within one standard error of the leader (the rule of Breiman, Friedman, Olshen &
Stone 1984 for pruning trees, here applied to paired differences).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from coarsefine.model.network_setting import Simplest
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.estimate import Estimate, finite
from coarsefine.search.campaign.json_form import JsonForm, PointField
from coarsefine.search.campaign.network_settings import NETWORK_SETTINGS
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.verdict_words import verdict_in_words

_Rules = Sequence[tuple[str, Simplest]]
_SIMPLEST: _Rules = sorted(
    ((name, setting.simplest) for name, setting in NETWORK_SETTINGS.items() if setting.simplest),
    key=lambda pair: pair[1].rank,
)
"""What makes a network simpler, by setting, in order of importance."""
_BOOTSTRAP_SAMPLES = 10_000
_DRAWN_AT_ONCE = 4_000_000
"""The most values that are drawn for bootstrap samples at once: 32 MB."""
_HUGE = 2.0**500
"""Values from here on would overflow if they were squared and added."""
Values = tuple[float | None, ...]
"""A finalist's values by seed; None if the trial failed or has not ended."""


@dataclass(frozen=True)
class TrialId(JsonForm):
    """A trial, by the name of its study and its number there."""

    study: str
    number: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Candidate(TrialId):
    """A completed trial of a search stage."""

    point: PointField
    value: Annotated[float, Field(description="in the search; a finalist's is optimistic: it was chosen by this value")]

    @classmethod
    def from_dict(cls, form: Any, *, extra: Literal["forbid", "ignore"] = "ignore") -> Self:
        """Read the JSON form, ignoring keys that only a later version knows.

        The first versions searched η and λ alone and stored them next to the number.
        """
        if isinstance(form, dict) and not form.get("params") and {"eta", "lambda"} <= form.keys():
            kept = {key: value for key, value in form.items() if key not in {"eta", "lambda"}}
            form = {**kept, "params": {name: form[name] for name in ("eta", "lambda")}}
        return super().from_dict(form, extra=extra)


@dataclass(frozen=True)
class Finalist(Candidate):
    """One of the best settings, trained again on new seeds, which are the same for all finalists."""

    values: Annotated[Values, Field(description="by seed; null if it failed")]
    confirmed: Annotated[Estimate | None, Field(description="null if it failed on a seed")]
    behind: Annotated[Estimate | None, Field(description="how far the leader is ahead, seed by seed")]
    probability_best: Annotated[float, Field(ge=0, le=1, description="by a paired bootstrap over the seeds")]


def _refuse_winner(_: object) -> NoReturn:
    """Refuse a winner in a file, whose form leaves it out."""
    raise ValueError("is calculated, not read: remove it")


@dataclass(frozen=True)
class Verdict(JsonForm):
    """The choice among the finalists, and how certain it is."""

    finalists: Annotated[tuple[Finalist, ...], Field(description="the best mean first, those that failed last")]
    tied: Annotated[
        tuple[TrialId, ...],
        Field(description="the leader and those that these seeds cannot tell from it; empty if it won clearly"),
    ]
    optimism: Annotated[float | None, Field(description="by how much the search's best value was too good")]
    summary: Annotated[str, Field(alias="verdict")]
    winner: Annotated[Finalist | None, Field(exclude=True), BeforeValidator(_refuse_winner)] = None
    """None if every finalist failed on some seed, and in a verdict that was read from a file."""

    def is_tied(self, finalist: Finalist) -> bool:
        """Return whether a finalist is one of those that tie."""
        return TrialId(finalist.study, finalist.number) in self.tied


def choose_finalists(
    candidates: Iterable[Candidate],
    top: int,
    near: float,
    bounds: Space,
    direction: Direction = Direction.MAXIMIZE,
) -> list[Candidate]:
    """Return the best `top` candidates, leaving out any that is nearly the same as a better one.

    Two are nearly the same if all their settings are at most `near` apart: in decades for a log-uniform range, as a
    share of the bounds for a linear one; other settings must be equal. Of equal values the earlier counts as better.
    """
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: direction.key(c.value)):
        if len(chosen) < top and not any(bounds.near(candidate.point, other.point, near) for other in chosen):
            chosen.append(candidate)
    return chosen


def judge(
    candidates: Sequence[Candidate],
    values: Sequence[Sequence[float | None]],
    seed: int,
    *,
    direction: Direction = Direction.MAXIMIZE,
    of_network: bool = True,
) -> Verdict:
    """Return the verdict on finalists with their values by seed, None for a failure; `seed` draws the bootstrap.

    What makes a network simpler says nothing about the parameters of a user's function, even if a name is the same.
    """
    rules = _SIMPLEST if of_network else []
    complete = [place for place, own in enumerate(values) if None not in own]
    scale = _scale_of(value for own in values for value in own if value is not None)
    table = direction.sign * np.array([values[place] for place in complete], dtype=np.float64) / scale
    probabilities = dict(zip(complete, _probabilities(table, seed), strict=True))
    leader = int(table.mean(axis=1).argmax()) if complete else 0
    behind = {place: table[leader] - table[row] for row, place in enumerate(complete) if row != leader}
    finalists = [
        _finalist(candidate, own, behind.get(place), probabilities.get(place, 0.0), scale)
        for place, (candidate, own) in enumerate(zip(candidates, values, strict=True))
    ]
    ranked = sorted(finalists, key=lambda f: direction.key(f.confirmed.mean) if f.confirmed else math.inf)
    tied = [f for f in ranked if f.confirmed and (f.behind is None or f.behind.low <= 0)]
    close = [f for f in tied if f.behind is None or f.behind.mean <= f.behind.error]
    # Of equally simple ones `max` returns the first, which has the best mean.
    winner = max(close, key=lambda f: _simplicity_of(f.point, rules), default=None)
    tied = tied if len(tied) > 1 else []
    ids = tuple(TrialId(f.study, f.number) for f in tied)
    order = [rule.words for name, rule in rules if ranked and name in ranked[0].point]
    summary = verdict_in_words(ranked, len(tied), len(close), order)
    return Verdict(tuple(ranked), ids, _optimism(ranked, direction), summary, winner)


def _optimism(finalists: Sequence[Finalist], direction: Direction) -> float | None:
    """Return by how much the search's best value is better than the mean of the same point on the new seeds."""
    best = min(finalists, key=lambda f: direction.key(f.value))
    sign = direction.sign
    return finite(sign * best.value - sign * best.confirmed.mean) if best.confirmed else None


def _simplicity_of(point: Point, rules: _Rules) -> list[float]:
    """Return the sort key of a point; among points of one space, a higher key is a simpler network."""
    return [(1 if rule.highest else -1) * float(point[name]) for name, rule in rules if name in point]


def _finalist(
    candidate: Candidate,
    values: Sequence[float | None],
    behind: npt.NDArray[np.float64] | None,
    probability: float,
    scale: float,
) -> Finalist:
    """Return a finalist with its estimates; `behind` is by how much the leader is better on each seed.

    Divided by `scale`, as `behind` is, the values have sums and squares that are finite.
    """
    confirmed = None if None in values else Estimate.of(np.array(values, dtype=np.float64) / scale).times(scale)
    difference = None if behind is None else Estimate.of(behind).times(scale)
    found = (candidate.study, candidate.number, candidate.point, candidate.value)
    return Finalist(*found, tuple(values), confirmed, difference, probability)


def _scale_of(values: Iterable[float]) -> float:
    """Return the power of two by which values are divided before they are added and squared: 1 unless they are huge."""
    largest = max(map(abs, values), default=0.0)
    return 1.0 if largest < _HUGE else math.ldexp(1.0, math.frexp(largest)[1] - 1)


def _probabilities(table: npt.NDArray[np.float64], seed: int) -> list[float]:
    """Return how often each row has the highest mean in bootstrap samples of the columns; equal rows share."""
    if not table.size:
        return []
    seeds, rng = table.shape[1], np.random.default_rng(seed)
    # In parts, to the same bits: all samples of 100 finalists and 1,000 seeds at once would take 8 GB.
    part = max(_DRAWN_AT_ONCE // table.size, 1)
    sizes = [min(part, _BOOTSTRAP_SAMPLES - drawn) for drawn in range(0, _BOOTSTRAP_SAMPLES, part)]
    drawn = (rng.integers(0, seeds, size=(size, seeds)) for size in sizes)
    means = np.concatenate([table[:, columns].mean(axis=2) for columns in drawn], axis=1)
    best = np.isclose(means, means.max(axis=0), rtol=0, atol=1e-12)
    shares: list[float] = (best / best.sum(axis=0)).mean(axis=1).tolist()
    return shares
