"""Axes of the map of trials: what can stand on one, where a trial and a stage's range lie there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from optuna.trial import FrozenTrial

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.dimension import Choice, Integer
from coarsefine.search.results.study import Study, point_of

VALUE, NUMBER = "value", "number"
"""What stands on an axis where not even two hyperparameters can: a trial's accuracy, and its number."""
_ROOM = 0.06
"""At both ends of an axis, for points and names at the edges, as a share of it."""
_TITLES = {VALUE: "validation accuracy", NUMBER: "number of the trial"}


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis, over the studies of a campaign."""

    name: str
    studies: Sequence[Study]

    @property
    def is_searched(self) -> bool:
        """Tell whether it is one of the hyperparameters."""
        return any(self.name in study.space for study in self.studies)

    @property
    def title(self) -> str:
        """Return what it is called."""
        return labels.title(self.name) if self.is_searched else _TITLES[self.name]

    @property
    def _is_accuracy(self) -> bool:
        return self.name == VALUE and not self.is_searched

    @property
    def log(self) -> bool:
        """Tell whether it is logarithmic."""
        return self.is_searched and all(study.space[self.name].axis == "log" for study in self.studies)

    def of(self, trial: FrozenTrial) -> float | None:
        """Return where a trial lies; None where it has nothing to show there."""
        if self.is_searched:
            found = point_of(trial)[self.name]
            assert not isinstance(found, str), "words have no axis"  # noqa: S101
            return found
        return trial.number if self.name == NUMBER else accuracy_of(trial)

    def span(self, study: Study) -> tuple[float, float]:
        """Return between what a stage's trials lie: of whole numbers with their cells, so that one alone has width."""
        if not self.is_searched:
            values = [value for trial in study.trials if (value := self.of(trial)) is not None]
            return min(values, default=0.0), max(values, default=1.0)
        dimension = study.space[self.name]
        if isinstance(dimension, Choice):
            numbers: list[Any] = list(dimension.options)
            return min(numbers), max(numbers)
        wide = dimension.cells if isinstance(dimension, Integer) else dimension
        return wide.low, wide.high

    def place(self, value: float) -> float:
        """Return where a value lies in Plotly's own units, logarithms on a log axis."""
        return math.log10(value) if self.log else value

    def layout(self) -> dict[str, Any]:
        """Return what Plotly is told of it."""
        spans = [self.span(study) for study in self.studies] or [(0.0, 1.0)]
        low, high = self.place(min(low for low, _ in spans)), self.place(max(high for _, high in spans))
        room = _ROOM * (high - low) or 0.5
        told = {"title": escape(self.title), "range": [low - room, high + room], "nticks": 8}
        if self.log:
            return {**told, "type": "log", "exponentformat": "power"}
        return {**told, "type": "linear", **({"tickformat": ".2~%"} if self._is_accuracy else {})}


def axes_of(studies: Sequence[Study]) -> list[str]:
    """Return what the axes of a map may show, those first that it shows unless told otherwise; at least two."""
    spaces = [study.space for study in studies if not study.is_confirm]
    names = [name for name in spaces[0] if all(space[name].axis for space in spaces)] if spaces else []
    if not names:
        return [NUMBER, VALUE]
    return names if len(names) > 1 else [*names, VALUE]


def title_of(name: str, studies: Sequence[Study]) -> str:
    """Return what an axis of the map is called."""
    return Axis(name, studies).title


def accuracy_of(trial: FrozenTrial) -> float | None:
    """Return a trial's accuracy after its last epoch."""
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else trial.value
