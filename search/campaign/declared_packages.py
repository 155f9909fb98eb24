"""The packages that a campaign of user code declares: its values may depend on their versions."""

import re
from collections.abc import Iterable
from typing import Any

from coarsefine.search.errors import CampaignError

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


def read_names(value: Any) -> list[str] | None:
    """Return the names of packages as pip normalises them, each once and sorted; None for an empty list, and for None.

    Raises `ValueError` for anything else but a list of names.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError('packages are a list of names, such as ["torch", "scikit-learn"]')  # noqa: TRY004 - pydantic reports no other error
    for name in value:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a package: write it as for pip, without a version")
    return sorted({re.sub("[-_.]+", "-", name).lower() for name in value}) or None


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each package; raise `CampaignError` if one is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, rarely needed

    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError as error:
            raise CampaignError(f"packages: '{name}' is not installed here: {_remedy(name)}.") from error
    return found


def _remedy(name: str) -> str:
    """Return what to do about a name that no installed package has; it may be that of a module."""
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - slow, needed for an error only

    modules = {module.lower().replace("_", "-"): owners for module, owners in packages_distributions().items()}
    owners = " and ".join(f"'{owner}'" for owner in dict.fromkeys(modules.get(name, ())))
    return f"the package of that module is called {owners}" if owners else "install it, or correct its name"
