"""The model card of a final training, in Markdown: what was trained, how well it does, why, and its limits."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from coarsefine.model import Network
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.metric import Accuracy
from coarsefine.search.network.export_schema import Export
from coarsefine.search.results.final_result import FinalResult

_NAMED = {"eta", "lambda", "rho", "decay", "hidden", "batch"}
"""The settings that the text names; it lists the others."""


def card_of(export: Export, final: FinalResult, network: Network) -> str:
    """Return the model card of trained networks, whose text is in `model_card.md.j2`."""
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "thousands": "{:,}".format, "percent": "{:.2%}".format, "points": _points, "interval": _interval,
        "point_text": labels.point_text, "space_text": labels.space_text,
    }  # fmt: skip
    text = (files("coarsefine.search.network") / "model_card.md.j2").read_text("utf-8")
    test = Accuracy(final.test_accuracy, final.images[2])
    further = {name: value for name, value in export.settings.values.items() if name not in _NAMED}
    return environment.from_string(text).render(
        export=export, final=final, network=network, test=test, further=further
    )  # fmt: skip


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _interval(estimate: Estimate) -> str:
    low, high = (_points(min(max(bound, 0), 1)) for bound in (estimate.low, estimate.high))
    return f"{estimate.mean:.2%} ({low} to {high}, 95 %, n = {estimate.n})"
