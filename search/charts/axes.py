"""Axes of the map of trials: what an axis can show, and where a trial and a stage's ranges lie on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

from optuna.trial import FrozenTrial

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.dimension import Choice, Dimension, Grid
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.charts.drawn_trials import last_value
from coarsefine.search.results.study import Study, point_of

VALUE, NUMBER = "value", "number"
"""Axes of a trial's value and number, for campaigns that search fewer than two numeric hyperparameters."""
_ROOM = 0.06
"""Share of an axis that is added at both ends, for points and labels at the edges."""
_SCATTER = 0.5
"""Width of the band that the trials of one option fill, where options are one apart."""
_MOST_TICKS = 8
_FEW_DECADES = 2
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Axis:
    """One axis of the map, over the studies of a campaign."""

    name: str
    studies: Sequence[Study]
    metric: Metric = ACCURACY

    @cached_property
    def _dimensions(self) -> list[Dimension]:
        return [study.space[self.name] for study in self.studies if self.name in study.space]

    @property
    def is_searched(self) -> bool:
        """Return whether the axis shows a hyperparameter."""
        return bool(self._dimensions)

    @property
    def title(self) -> str:
        """Return the title of the axis."""
        if self.is_searched:
            return labels.title(self.name, self.metric)
        return "number of the trial" if self.name == NUMBER else self.metric.title

    @property
    def log(self) -> bool:
        """Return whether the axis is logarithmic."""
        return self.is_searched and all(dimension.axis == "log" for dimension in self._dimensions)

    @cached_property
    def options(self) -> list[str]:
        """Return the options of a choice that are not all numbers: each has a place. Other axes have none."""
        if all(dimension.axis for dimension in self._dimensions):
            return []
        return list(dict.fromkeys(option for dimension in self._dimensions for option in _options_of(dimension)))

    def of(self, trial: FrozenTrial) -> float | None:
        """Return a trial's value on the axis, or None if it has none.

        The trials of one option are scattered, by their numbers, so that they do not cover each other.
        """
        if not self.is_searched:
            return trial.number if self.name == NUMBER else last_value(trial)
        value = point_of(trial)[self.name]
        if self.options:
            return self.options.index(str(value)) + _SCATTER * ((trial.number * _GOLDEN) % 1 - 0.5)
        assert not isinstance(value, str), "words have places"  # noqa: S101
        return value

    def span(self, study: Study) -> tuple[float, float]:
        """Return the lowest and highest value of a stage.

        The span of steps includes half a step at both ends, so that a single number has a width; so does that of
        options, which are one apart.
        """
        if not self.is_searched:
            values = [value for trial in study.trials if (value := self.of(trial)) is not None]
            return min(values, default=0.0), max(values, default=1.0)
        dimension = study.space[self.name]
        if self.options:
            places = list(map(self.options.index, _options_of(dimension)))
            return min(places) - 0.5, max(places) + 0.5
        if isinstance(dimension, Choice):
            numbers: list[Any] = list(dimension.options)
            return min(numbers), max(numbers)
        wide = dimension.cells if isinstance(dimension, Grid) else dimension
        return wide.low, wide.high

    def position(self, value: float) -> float:
        """Return a value in Plotly's axis units: its logarithm on a log axis."""
        return math.log10(value) if self.log else value

    def layout(self) -> dict[str, Any]:
        """Return Plotly's layout of the axis."""
        spans = [self.span(study) for study in self.studies] or [(0.0, 1.0)]
        low, high = self.position(min(low for low, _ in spans)), self.position(max(high for _, high in spans))
        room = _ROOM * (high - low) or 0.5
        layout = {"title": escape(self.title), "range": [low - room, high + room], "nticks": _MOST_TICKS}
        layout |= self._ticks()
        if self.log:
            return {**layout, "type": "log", **_log_ticks(high - low)}
        return {**layout, "type": "linear", **(value_axis(self.metric) if self._shows_values else {})}

    def _ticks(self) -> dict[str, Any]:
        """Return Plotly's ticks of a choice, one at each option; those of other axes are Plotly's own."""
        if self.options:
            return {"tickvals": list(range(len(self.options))), "ticktext": list(map(escape, self.options))}
        if not self._dimensions or not all(isinstance(dimension, Choice) for dimension in self._dimensions):
            return {}
        numbers = sorted({float(option) for dimension in self._dimensions for option in _options_of(dimension)})
        return {"tickvals": numbers, "ticktext": [f"{number:.9g}" for number in numbers]}

    @property
    def _shows_values(self) -> bool:
        return self.name == VALUE and not self.is_searched


def _log_ticks(decades: float) -> dict[str, Any]:
    """Return Plotly's ticks of a log axis: powers of ten, or within two decades numbers between them, in full.

    For a step of more than 0.7 decades Plotly takes powers of ten. It labels ticks between them with their first digit
    alone, unless there is a format.
    """
    if decades < _FEW_DECADES:
        return {"tickformat": "~g"}
    return {"exponentformat": "power", "nticks": min(int(decades / 0.75), _MOST_TICKS)}


def value_axis(metric: Metric) -> dict[str, Any]:
    """Return Plotly's layout of an axis that shows the values of trials."""
    return {"title": escape(metric.title), **({"tickformat": ".2~%"} if metric.is_share else {})}


def axes_of(studies: Sequence[Study]) -> list[str]:
    """Return the names of at least two axes that a map can show. The first two are its default.

    Choices among words come last.
    """
    spaces = [study.space for study in studies if study.is_search]
    searched = list(spaces[0]) if spaces else []
    numeric = [name for name in searched if all(space[name].axis for space in spaces)]
    if len(numeric) < 2:  # noqa: PLR2004 - a map has two axes
        numeric = [*(numeric or [NUMBER]), VALUE]
    choices = [name for name in searched if all(isinstance(space[name], Choice) for space in spaces)]
    return [*numeric, *(name for name in choices if name not in numeric)]


def _options_of(dimension: Dimension) -> list[str]:
    return [str(option) for option in dimension.options] if isinstance(dimension, Choice) else []
