"""The campaigns that ship with the package: one TOML file each."""

from importlib.resources import files

from coarsefine.search.errors import CampaignError

_SUFFIX = ".toml"


def preset_names() -> list[str]:
    """Return the names of the presets, sorted."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in files(__name__).iterdir() if file.name.endswith(_SUFFIX))


def preset_text(name: str) -> str:
    """Return the TOML of a preset; raise `CampaignError` if there is none of this name."""
    if name not in preset_names():
        raise CampaignError(f"There is no preset '{name}': the presets are {', '.join(preset_names())}.")
    return (files(__name__) / f"{name}{_SUFFIX}").read_text("utf-8")
