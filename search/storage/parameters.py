"""Points as Optuna stores them: a row for each parameter, with its distribution."""

import itertools
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna import distributions as optunas

from coarsefine.search.campaign.dimension import Choice, Dimension, Integer, LogUniform
from coarsefine.search.campaign.space import Point, Space

distribution_from_json = lru_cache(optunas.json_to_distribution)
"""Read a distribution as Optuna stores it; most trials of a study share the same texts."""


def distribution_of(dimension: Dimension) -> optunas.BaseDistribution:
    """Return a dimension as Optuna's distribution."""
    if isinstance(dimension, Choice):
        return optunas.CategoricalDistribution(dimension.options)
    if isinstance(dimension, Integer):
        return optunas.IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    return optunas.FloatDistribution(dimension.low, dimension.high, log=isinstance(dimension, LogUniform))


def parameter_rows(points: Mapping[int, Point], space: Space) -> list[dict[str, Any]]:
    """Return the rows for points of a space, given by trial id; the rows of a point are in the order of the space."""
    distributions = {name: distribution_of(dimension) for name, dimension in space.items()}
    forms = {name: optunas.distribution_to_json(distribution) for name, distribution in distributions.items()}
    return [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distribution.to_internal_repr(point[name]),
            "distribution_json": forms[name],
        }
        for trial_id, point in points.items()
        for name, distribution in distributions.items()
    ]


def with_points(rows: Iterable[sa.Row[Any]]) -> list[tuple[sa.Row[Any], Point]]:
    """Return the first row and the point of each trial, from rows that each hold one of its parameters."""
    groups = (list(group) for _, group in itertools.groupby(rows, key=lambda row: row.number))
    return [(group[0], Point(tuple(_parameter(row) for row in group))) for group in groups]


def _parameter(row: sa.Row[Any]) -> tuple[str, Any]:
    return row.param_name, distribution_from_json(row.distribution_json).to_external_repr(row.param_value)
