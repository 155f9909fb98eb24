"""The numbers of a published report that a preset reproduces, for a comparison with a campaign's own."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from coarsefine.search.campaign.campaign import Campaign

_FOLDER = files("coarsefine.search.report") / "published"
_FREE = ("name", "seed")
"""Settings that may differ from the preset's: a campaign with another seed still reproduces the report."""


@dataclass(frozen=True, slots=True)
class PublishedValues:
    """The numbers of a published report. Each part has a `where`, its place in that report."""

    preset: str
    source: str
    validation_images: int
    gradient_check: Mapping[str, Any]
    momentum: Mapping[str, Any]
    final: Mapping[str, Any]
    stage: tuple[Mapping[str, Any], ...]

    def best_of(self, stage: str) -> list[Mapping[str, Any]]:
        """Return the best hyperparameters that the report lists for a stage, best first."""
        return [best for published in self.stage if published["name"] == stage for best in published["best"]]

    def note_on(self, stage: str) -> str | None:
        """Return a note on the report's account of a stage, or None."""
        return next((published.get("note") for published in self.stage if published["name"] == stage), None)


def published_values_for(campaign: Campaign) -> PublishedValues | None:
    """Return the report that a campaign reproduces: one with the same data, network, stages and final training."""
    settings = _settings(campaign)
    for entry in sorted(_FOLDER.iterdir(), key=lambda entry: entry.name):
        preset = entry.name.removesuffix(".toml")
        if _settings(Campaign.load(preset)) == settings:
            values = tomllib.loads(entry.read_text("utf-8"))
            return PublishedValues(preset=preset, **{**values, "stage": tuple(values["stage"])})
    return None


def _settings(campaign: Campaign) -> dict[str, Any]:
    return {key: value for key, value in campaign.as_stored().items() if key not in _FREE}
