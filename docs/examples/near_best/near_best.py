"""The pruner `near_best`: trials that are far behind the best of their cohort end."""

from typing import Annotated

from pydantic import Field

from coarsefine import Pruner


class NearBest(Pruner):
    """Every few epochs, keeps the trials that are at most a margin behind the best one."""

    margin: Annotated[float, Field(ge=0, description="How far behind a trial may be.")] = 0.1
    every: Annotated[int, Field(ge=1, description="The epochs from one comparison to the next.")] = 1

    def rungs_of(self, epochs):
        """Return the epochs after which trials are compared."""
        return range(self.every, epochs, self.every)

    def survivors(self, rung, values):
        """Return the trials that are near the best one. The best one always is."""
        best = max(values.values())
        return [number for number, value in values.items() if value >= best - self.margin]

    def reason(self, rung, kept):
        """Return why a trial ends."""
        return f"more than {self.margin:g} behind the best"
