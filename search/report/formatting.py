"""How a report writes numbers."""

from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.metric import Accuracy

_NARROW = "\u202f"
"""A narrow space at which no line breaks."""


def number(value: Value) -> str:
    """Return a float with four significant digits, and any other value as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def scientific(value: float | None) -> str:
    """Return a number in scientific notation."""
    return f"{value:.2e}" if value is not None else "none checked"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.2f}{_NARROW}%"


def points(share: float) -> str:
    """Return a difference of shares in percentage points."""
    return f"{100 * share:.2f}"


def with_error(accuracy: Accuracy) -> str:
    """Return an accuracy with its standard error."""
    return f"{100 * accuracy.share:.2f}{_NARROW}%{_NARROW}±{_NARROW}{100 * accuracy.standard_error:.2f}"


def with_interval(estimate: Estimate) -> str:
    """Return a mean of shares with half its 95 % interval, both in percent."""
    return f"{100 * estimate.mean:.2f}{_NARROW}±{_NARROW}{100 * (estimate.high - estimate.mean):.2f}"


def interval(accuracy: Accuracy) -> str:
    """Return the 95 % interval of an accuracy."""
    low, high = accuracy.interval
    return f"{100 * low:.2f} to {100 * high:.2f}{_NARROW}%"


def duration(seconds: float) -> str:
    """Return a time in seconds, in minutes and seconds, or in hours and minutes."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
