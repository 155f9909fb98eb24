"""Axes of the map of trials: what an axis can show, and where a trial and a stage's ranges lie on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from optuna.trial import FrozenTrial

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.dimension import Choice, Integer
from coarsefine.search.charts.drawn_trials import accuracy_of
from coarsefine.search.results.study import Study, point_of

VALUE, NUMBER = "value", "number"
"""Axes of a trial's accuracy and number, for campaigns that search fewer than two numeric hyperparameters."""
_ROOM = 0.06
"""Share of an axis that is added at both ends, for points and labels at the edges."""
_TITLES = {VALUE: "validation accuracy", NUMBER: "number of the trial"}


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the map, over the studies of a campaign."""

    name: str
    studies: Sequence[Study]

    @property
    def is_searched(self) -> bool:
        """Return whether the axis shows a hyperparameter."""
        return any(self.name in study.space for study in self.studies)

    @property
    def title(self) -> str:
        """Return the title of the axis."""
        return labels.title(self.name) if self.is_searched else _TITLES[self.name]

    @property
    def log(self) -> bool:
        """Return whether the axis is logarithmic."""
        return self.is_searched and all(study.space[self.name].axis == "log" for study in self.studies)

    def of(self, trial: FrozenTrial) -> float | None:
        """Return a trial's value on the axis, or None if it has none."""
        if self.is_searched:
            value = point_of(trial)[self.name]
            assert not isinstance(value, str), "words have no axis"  # noqa: S101
            return value
        return trial.number if self.name == NUMBER else accuracy_of(trial)

    def span(self, study: Study) -> tuple[float, float]:
        """Return the lowest and highest value of a stage.

        The span of integers includes half a step at both ends, so that a single integer has a width.
        """
        if not self.is_searched:
            values = [value for trial in study.trials if (value := self.of(trial)) is not None]
            return min(values, default=0.0), max(values, default=1.0)
        dimension = study.space[self.name]
        if isinstance(dimension, Choice):
            numbers: list[Any] = list(dimension.options)
            return min(numbers), max(numbers)
        wide = dimension.cells if isinstance(dimension, Integer) else dimension
        return wide.low, wide.high

    def position(self, value: float) -> float:
        """Return a value in Plotly's axis units: its logarithm on a log axis."""
        return math.log10(value) if self.log else value

    def layout(self) -> dict[str, Any]:
        """Return Plotly's layout of the axis."""
        spans = [self.span(study) for study in self.studies] or [(0.0, 1.0)]
        low, high = self.position(min(low for low, _ in spans)), self.position(max(high for _, high in spans))
        room = _ROOM * (high - low) or 0.5
        layout = {"title": escape(self.title), "range": [low - room, high + room], "nticks": 8}
        if self.log:
            return {**layout, "type": "log", "exponentformat": "power"}
        is_accuracy = self.name == VALUE and not self.is_searched
        return {**layout, "type": "linear", **({"tickformat": ".2~%"} if is_accuracy else {})}


def axes_of(studies: Sequence[Study]) -> list[str]:
    """Return the names of at least two axes that a map can show. The first two are its default."""
    spaces = [study.space for study in studies if not study.is_confirm]
    names = [name for name in spaces[0] if all(space[name].axis for space in spaces)] if spaces else []
    if not names:
        return [NUMBER, VALUE]
    return names if len(names) > 1 else [*names, VALUE]
