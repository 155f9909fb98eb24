"""Which versions decide a trial's bits, and whether they have changed since a study was started.

A patch release of Coarsefine, NumPy or SciPy changes no bit of the network. The kernel has a version of its own, and
points and seeds are stored with the studies. Initial weights and mini-batches follow from NumPy's random numbers, which
may change in its feature releases only (NEP 19). Without the kernel, NumPy and its BLAS round, so each version of NumPy
counts. User code is called with stored points and seeds. Packages that it declares always count, and those that bring
samplers or settings.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from coarsefine.model.arithmetic import NUMPY
from coarsefine.search.storage.tables import ACCEPTED_VERSIONS, OBJECTIVE

VERSIONS, ARITHMETIC = "versions", "arithmetic"
"""Keys of a study's attributes: the versions of packages that it was started with, and what rounded its trials."""
_OWN = {"coarsefine", "numpy", "scipy"}
Difference = tuple[str, Any, Any]
"""A place in the attributes, with what was and what is there."""


def changed_versions(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Return the versions that decide bits and differ between the attributes of a study and the present ones."""
    return list(_changed(before, now)) if VERSIONS in now else []


def without_versions(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes without versions and arithmetic."""
    return {key: value for key, value in attrs.items() if key not in {VERSIONS, ARITHMETIC}}


def changes_before(study: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    """Return how many of the accepted changes of a study, given by its attributes, led to the present versions."""
    accepted = study.get(ACCEPTED_VERSIONS, ())
    earlier = (place for place, change in enumerate(accepted) if not changed_versions(change["from"], now))
    return next(earlier, len(accepted))  # a worker may have started before the last change


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    earlier, present = before.get(VERSIONS, {}), now[VERSIONS]
    if OBJECTIVE not in now and before.get(ARITHMETIC) != now.get(ARITHMETIC):
        yield ARITHMETIC, before.get(ARITHMETIC), now.get(ARITHMETIC)
    for name in sorted(earlier.keys() | present.keys()):
        pair = earlier.get(name), present.get(name)
        if _deciding(name, pair[0], now) != _deciding(name, pair[1], now):
            yield f"{VERSIONS}.{name}", *pair


def _deciding(name: str, version: str | None, now: Mapping[str, Any]) -> str | None:
    """Return the part of a package's version that decides bits; None if it does not count."""
    if name not in _OWN or name in (now.get("config", {}).get("packages") or ()):
        return version
    if name != "numpy" or version is None or OBJECTIVE in now:
        return None
    return version if now.get(ARITHMETIC) == NUMPY else ".".join(version.split(".")[:2])
