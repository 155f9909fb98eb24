"""Declare a setting of the network that a search may vary, once, with everything that is said about it.

A setting is a field of `Hyperparameters` (its value belongs to one trial) or of `TrainingSettings` (the trials of a
stack share it) whose annotation holds a `NetworkSetting`:

    rho: Annotated[float, NetworkSetting(symbol="ρ", title="ρ, momentum", noun="the momentum ρ", …)] = 0.9

The field gives the setting its name, type and default. Campaign files, their checks, exports, tables, charts and
reports follow from the declaration.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, get_type_hints

Number = float | int


@dataclass(frozen=True, slots=True)
class Simplest:
    """What makes one network simpler than another, for the choice among equally good ones."""

    rank: int
    """Settings count in the order of their ranks, the lowest first."""
    words: str
    """The rule in words: "the fewest hidden units"."""
    highest: bool = False
    """Whether the highest value is the simplest, rather than the lowest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSetting:
    """One setting. Its bounds are None where there is no limit."""

    symbol: str
    title: str
    """Full name, as on an axis."""
    noun: str
    """Name in a sentence."""
    help: str
    """What it does, in a sentence for the reference of campaign files."""
    above: Number | None = None
    """Every value is greater than this."""
    least: Number | None = None
    below: Number | None = None
    """Every value is less than this."""
    most: Number | None = None
    may_widen: bool = False
    """Whether a stage may search beyond the user's bounds; others are impossible or costly beyond them."""
    spans_decades: bool = False
    """Whether its values are written in powers of ten."""
    simplest: Simplest | None = None
    """None if a network is as simple with any value."""

    name: str = ""
    """The name in campaign files and points; by default that of the field."""
    kind: type[float] | type[int] = float
    """The type of its values. That of a field is the field's."""
    default: Number | None = None
    """The value of campaigns that give none; None if they must give one. That of a field is the field's."""
    field: str = ""
    """The field of `Hyperparameters` or `TrainingSettings` that holds it."""

    sets: str = ""
    """For a setting of another package: the name of the setting whose value follows from this one's."""
    value: Callable[[Any, Mapping[str, Any]], float] | None = None
    """For a setting of another package: called with this setting's value and those of all others, by name; returns the
    value of the setting that it `sets`."""

    @property
    def allowed(self) -> str:
        """Return the possible values in words."""
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        low = [f"above {self.above}"] * (self.above is not None) + [f"{self.least} or above"] * (self.least is not None)
        high = [f"below {self.below}"] * (self.below is not None) + [f"at most {self.most}"] * (self.most is not None)
        return ", and ".join(low + high) or "any number"

    def allows(self, value: float) -> bool:
        """Return whether a value is possible."""
        return (
            (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )


def settings_of(declaring: type[Any]) -> dict[str, NetworkSetting]:
    """Return the settings that a dataclass declares, by name, in the order of its fields."""
    hints = get_type_hints(declaring, include_extras=True)
    found = {}
    for field in fields(declaring):
        for declared in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(declared, NetworkSetting):
                name, kind = declared.name or field.name, hints[field.name].__origin__
                default = None if field.default is MISSING else field.default
                found[name] = replace(declared, name=name, field=field.name, kind=kind, default=default)
    return found
