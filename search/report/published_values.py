"""The numbers of a published report, beside those of the preset that reproduces it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from coarsefine.search.campaign.campaign import Campaign

_FREE = ("name", "seed")
"""What may differ from the preset: a campaign of other draws is still the report's."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What a report says, by its parts; each part names `where` it is said there."""

    preset: str
    source: str
    validation_images: int
    gradient_check: Mapping[str, Any]
    momentum: Mapping[str, Any]
    final: Mapping[str, Any]
    stage: tuple[Mapping[str, Any], ...]

    def best_of(self, stage: str) -> list[Mapping[str, Any]]:
        """Return the best settings that the report lists of a stage, best first."""
        return [best for told in self.stage if told["name"] == stage for best in told["best"]]

    def note_on(self, stage: str) -> str | None:
        """Return what there is to say about the report's own account of a stage."""
        return next((told.get("note") for told in self.stage if told["name"] == stage), None)


def reported_for(campaign: Campaign) -> Reported | None:
    """Return the report that a campaign reproduces: same data, network, stages, ranges and final training."""
    asked = _settings(campaign)
    folder = files("coarsefine.search.campaign") / "presets" / "reported"
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        preset = entry.name.removesuffix(".toml")
        if _settings(Campaign.load(preset)) == asked:
            told = tomllib.loads(entry.read_text("utf-8"))
            return Reported(preset=preset, **{**told, "stage": tuple(told["stage"])})
    return None


def _settings(campaign: Campaign) -> dict[str, Any]:
    return {key: value for key, value in campaign.as_stored().items() if key not in _FREE}
