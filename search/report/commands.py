"""The shell commands that repeat a campaign, and those that add what its report lacks."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.presets import preset_names
from coarsefine.search.campaign.toml_form import toml_line
from coarsefine.search.report.content import Content
from coarsefine.search.results.commands import storage_option_elsewhere

_GRADIENT_CHECK = ("images", "sample", "seed")
_MOMENTUM = ("eta", "epochs", "seed")
"""Options that determine a result, by the names under which they are recorded."""


def commands_for(content: Content) -> dict[str, str | None]:
    """Return the commands that lead to a report, with the options of the recorded gradient check and momentum study.

    `toml` is the campaign file that they need, or None if the campaign is a preset.
    """
    campaign = content.campaign
    preset = _preset_of(campaign)
    name = shlex.quote(campaign.name)
    where = storage_option_elsewhere(content.location, content.location.shown)
    data = f" --data {shlex.quote(example)}" if campaign.data and (example := campaign.data.example_source) else ""
    source = preset or shlex.quote(f"{campaign.name}.toml")
    check, momentum = _options(content.gradient_check, _GRADIENT_CHECK), _options(content.momentum, _MOMENTUM)
    return {
        "run": f"coarsefine run {source}{where}{data}",
        "resume": f"coarsefine run {name}{where}{data}",
        "gradient_check": f"coarsefine gradcheck --campaign {name}{where}{data}{check}",
        "momentum": f"coarsefine momentum --campaign {name}{where}{data}{momentum}",
        "report": f"coarsefine report {name}{where}",
        "toml": None if preset else as_toml(campaign),
    }


def as_toml(campaign: Campaign) -> str:
    """Return a campaign file that gives the same campaign when it is read."""
    lines: list[str] = []
    sections: list[str] = []
    for key, value in campaign.as_stored().items():
        if isinstance(value, dict):
            sections += ["", f"[{key}]", *_pairs(value)]
        elif isinstance(value, list) and isinstance(value[0], dict):
            sections += [line for item in value for line in ("", f"[[{key}]]", *_pairs(item))]
        elif value is not None:
            lines.append(toml_line(key, value))
    return "\n".join([*lines, *sections, ""])


def _options(recorded: Mapping[str, Any] | None, names: Sequence[str]) -> str:
    return "".join(f" --{name} {shlex.quote(str(recorded[name]))}" for name in names) if recorded else ""


def _pairs(section: dict[str, Any]) -> list[str]:
    return [toml_line(key, value) for key, value in _given(section).items()]


def _given(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table without the keys that have no value, which TOML cannot write."""
    pairs = ((key, value) for key, value in table.items() if value is not None)
    return {key: _given(value) if isinstance(value, dict) else value for key, value in pairs}


def _preset_of(campaign: Campaign) -> str | None:
    """Return the preset with the same settings and seed, or None."""
    settings = campaign.as_stored()
    return next((name for name in preset_names() if Campaign.load(name).as_stored() == settings), None)
