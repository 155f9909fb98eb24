"""The pruner `none`: every trial trains to its last epoch."""

from collections.abc import Collection, Mapping, Sequence

from coarsefine.search.campaign.pruning import Pruner, Rung


class NoPruner(Pruner):
    """Has no rungs."""

    def rungs_of(self, epochs: int) -> Sequence[int]:  # noqa: ARG002 - a pruner's signature
        """Return no epoch."""
        return ()

    def survivors(self, rung: Rung, values: Mapping[int, float]) -> Collection[int]:  # noqa: ARG002
        """Return all trials."""
        return values.keys()
