"""The settings of the built-in network that a search may vary: their names, symbols and possible values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkSetting:
    """One setting. Its bounds are None where there is no limit."""

    symbol: str
    title: str
    """Full name, as on an axis."""
    noun: str
    """Name in a sentence."""
    allowed: str
    """The possible values in words."""
    above: float | None = None
    """Every value is greater than this."""
    least: float | None = None
    below: float | None = None
    """Every value is less than this."""
    most: float | None = None
    whole: bool = False
    """Whether its values are whole numbers."""
    may_widen: bool = False
    """Whether a stage may search beyond the user's bounds; others are impossible or costly beyond them."""
    spans_decades: bool = False
    """Whether its values are written in powers of ten."""

    def allows(self, value: float) -> bool:
        """Return whether a value is possible."""
        return (
            (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )


NETWORK_SETTINGS = {
    "eta": NetworkSetting("η", "η, learning rate", "the learning rate η", "above 0", above=0, may_widen=True),
    "lambda": NetworkSetting(
        "λ", "λ, L2 weight", "the L2 weight λ", "0 or above", least=0, may_widen=True, spans_decades=True
    ),
    "rho": NetworkSetting("ρ", "ρ, momentum", "the momentum ρ", "0 or above, and below 1", least=0, below=1),
    "decay": NetworkSetting(
        "decay", "decay of η, each epoch", "the decay of η", "above 0, and at most 1", above=0, most=1
    ),
    "hidden": NetworkSetting(
        "hidden", "hidden units", "the number of hidden units", "1 to 100000", least=1, most=100_000, whole=True
    ),
    "batch": NetworkSetting(
        "batch", "batch, images of a step", "the size of the mini-batches", "1 or above", least=1, whole=True
    ),
}
"""The settings, by the names that campaign files and points use."""

NEVER_WIDENED = frozenset(name for name, setting in NETWORK_SETTINGS.items() if not setting.may_widen)
