"""The verdict on finalists in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coarsefine.search.campaign.estimate import without_rounding_error

if TYPE_CHECKING:
    from coarsefine.search.campaign.winner import Finalist

_LITTLE = 0.1
"""A lead below this share of half an interval of the mean is said to be small."""


def verdict_in_words(finalists: "Sequence[Finalist]", tied: int, close: int, order: Sequence[str]) -> str:
    """Return the verdict on finalists, the best mean first.

    `tied` of them tie, and `close` are within one standard error of the leader. `order` says what is simpler.
    """
    if not close:
        return "No finalist held on every seed."
    choice = _choice(close, order)
    tie = f"A tie among {tied} of {len(finalists)} on these seeds. {choice}" if tied else ""
    if all(finalist.confirmed and len(set(finalist.values)) == 1 for finalist in finalists):
        return f"{_without_seeds(finalists)} {tie}".rstrip()
    return tie or _lead(finalists)


def _lead(finalists: "Sequence[Finalist]") -> str:
    """Say how clear the lead of a winner without ties is, compared with the intervals of the differences.

    If noise depends on the seed alone, differences do not vary at all, and their intervals say nothing of chance.
    """
    others = [(f, f.behind, f.confirmed) for f in finalists if f.behind and f.confirmed]
    if not others:
        return "The winner is the only finalist with a value on every seed."
    if all(without_rounding_error(behind.high - behind.mean, _size(f)) == 0 for f, behind, _ in others):
        return (
            "Each finalist is behind the winner by the same difference on every seed: a seed changes all their values "
            "alike, so the intervals of the differences are 0."
        )
    _, behind, confirmed = others[0]  # the next best mean
    if behind.mean < _LITTLE * (confirmed.high - confirmed.mean):
        return (
            "A winner by little: every other finalist is behind on these seeds by more than chance, but the next one "
            "by less than a tenth of the ± of its mean."
        )
    return "A clear winner: every other finalist is behind on these seeds by more than chance."


def _size(finalist: "Finalist") -> float:
    """Return the largest absolute value of a finalist."""
    return max(abs(value) for value in finalist.values if value is not None)


def _without_seeds(finalists: "Sequence[Finalist]") -> str:
    """Say that each finalist has one value on all seeds, and what confirmation is worth then."""
    repeated = all(finalist.values[0] == finalist.value for finalist in finalists)
    worth = "confirmation repeats the search's value" if repeated else "the intervals are 0"
    return f"The value does not depend on the seed: each finalist has the same value on all its seeds, and {worth}."


def _choice(close: int, order: Sequence[str]) -> str:
    """Say which of the finalists that tie is the winner."""
    if not order:
        return "The winner has the best mean."
    if close == 1:
        return "The winner is the leader: no other is within one standard error of it."
    simplest = f"the simplest of the {close} within one standard error of the leader"
    return f"The winner is {simplest}: {', then '.join(order)}."
