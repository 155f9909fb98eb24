"""The campaigns that ship with the package: one TOML file each."""

from importlib.resources import files

_SUFFIX = ".toml"


def preset_names() -> list[str]:
    """Return the names of the presets, sorted."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in files(__name__).iterdir() if file.name.endswith(_SUFFIX))


def preset_text(name: str) -> str:
    """Return the TOML of a preset."""
    return (files(__name__) / f"{name}{_SUFFIX}").read_text("utf-8")
