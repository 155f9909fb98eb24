"""The figures of a campaign, as Plotly's: for the campaign page, the report, and image files.

Each is made from the studies alone, and reads on light and on dark paper: `themed` sets the ink.
"""

from coarsefine.search.charts.axes import axes_of, title_of
from coarsefine.search.charts.curves import (
    best_so_far,
    curves,
    loss_curves,
    shares,
    timeline,
    value_curves,
)
from coarsefine.search.charts.theme import Theme, themed
from coarsefine.search.charts.trial_map import map_of_trials

__all__ = [
    "Theme",
    "axes_of",
    "best_so_far",
    "curves",
    "loss_curves",
    "map_of_trials",
    "shares",
    "themed",
    "timeline",
    "title_of",
    "value_curves",
]
