"""What was found: rows of a table, each with its bound."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement with its bound."""

    what: str
    database: str
    found: float
    unit: str
    bound: float
    at_least: bool = False
    """Whether the bound is the least, and not the most."""
    detail: str = ""
    """Medians, ranges and numbers of measurements."""

    @property
    def kept(self) -> bool:
        """Return whether the bound is kept."""
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    @property
    def text(self) -> str:
        """Return the row as a line."""
        bound = f"{'≥' if self.at_least else '≤'} {self.bound:g}"
        kept = "kept" if self.kept else "MISSED"
        found = f"{self.found:>8.3g} {self.unit:<2}"
        return f"{self.what:<56} {self.database:<10} {found} {bound:>8}  {kept:<6}  {self.detail}"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "kept": self.kept}


def spread(values: Sequence[float], unit: str) -> str:
    """Return the median of measurements with the least and the greatest, and their number."""
    return f"{statistics.median(values):.3g} {unit} ({min(values):.3g}–{max(values):.3g}, n = {len(values)})"
