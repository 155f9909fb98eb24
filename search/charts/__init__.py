"""Plotly figures of a campaign, for the campaign page, the report and image files.

Each figure is made from the studies alone. `themed` sets its colours for a light or dark page.
"""

from coarsefine.search.charts.axes import Axis, axes_of
from coarsefine.search.charts.curves import best_so_far, curves, loss_curves, seconds_in_training, share_bars, timeline
from coarsefine.search.charts.theme import STAGE_COLOURS, Theme, themed
from coarsefine.search.charts.trial_map import map_of_trials

__all__ = [
    "STAGE_COLOURS",
    "Axis",
    "Theme",
    "axes_of",
    "best_so_far",
    "curves",
    "loss_curves",
    "map_of_trials",
    "seconds_in_training",
    "share_bars",
    "themed",
    "timeline",
]
