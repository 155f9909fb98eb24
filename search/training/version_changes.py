"""Which versions decide a trial's bits, and whether they have changed since a study was started.

Not each release does. What may change:

- How trials are trained: the kernel has a version of its own. Initial weights and mini-batches follow from NumPy's
  random numbers, which may change in its feature releases only (NEP 19). Without the kernel, NumPy and its BLAS round,
  so each version of NumPy counts.
- Which points a stage gets that is still to be opened; those of open stages are stored. NumPy's feature release draws
  them, for user code, too, and SciPy's if the stage's sampler is `sobol`.
- What Coarsefine itself does with trials: `RESULTS_VERSION` says it.

Packages that user code declares always count, and those that bring samplers, pruners or settings.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from coarsefine.model.arithmetic import NUMPY
from coarsefine.search.storage.tables import ACCEPTED_VERSIONS, ARITHMETIC, OBJECTIVE, RESULTS, VERSIONS

RESULTS_VERSION = 1
"""Increase this number if a release changes seeds, drawn points, how later stages are made, or which trials stop."""
_OWN = {"coarsefine", "numpy", "scipy"}
_SOBOL = "sobol"
_ANY = frozenset({_SOBOL})
Difference = tuple[str, Any, Any]
"""A place in the attributes, with what was and what is there."""


def changed_versions(
    before: Mapping[str, Any], now: Mapping[str, Any], samplers: Collection[str] = ()
) -> list[Difference]:
    """Return the versions that decide bits and differ between the attributes of a study and the present ones.

    `samplers` are those of the stages that are still to be opened.
    """
    return list(_changed(before, now, samplers)) if VERSIONS in now else []


def samplers_left(studies: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the samplers of the stages that are still to be opened, given the attributes of a campaign's studies."""
    known = list(studies)
    opened = {study.get("stage") for study in known}
    stages = known[0]["config"]["stage"] if known else ()
    return {stage.get("sampler", "random") for stage in stages if stage["name"] not in opened}


def without_versions(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes without versions and arithmetic."""
    return {key: value for key, value in attrs.items() if key not in {VERSIONS, ARITHMETIC, RESULTS}}


def changes_before(study: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    """Return how many of the accepted changes of a study, given by its attributes, led to the present versions."""
    accepted = study.get(ACCEPTED_VERSIONS, ())
    earlier = (place for place, change in enumerate(accepted) if not changed_versions(change["from"], now, _ANY))
    return next(earlier, len(accepted))  # a worker may have started before the last change


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], samplers: Collection[str]) -> Iterator[Difference]:
    earlier, present = before.get(VERSIONS, {}), now[VERSIONS]
    if OBJECTIVE not in now and before.get(ARITHMETIC) != now.get(ARITHMETIC):
        yield ARITHMETIC, before.get(ARITHMETIC), now.get(ARITHMETIC)
    if before.get(RESULTS, 1) != now.get(RESULTS, 1):
        yield RESULTS, before.get(RESULTS, 1), now.get(RESULTS, 1)
    for name in sorted(earlier.keys() | present.keys()):
        pair = earlier.get(name), present.get(name)
        if _deciding(name, pair[0], now, samplers) != _deciding(name, pair[1], now, samplers):
            yield f"{VERSIONS}.{name}", *pair


def _deciding(name: str, version: str | None, now: Mapping[str, Any], samplers: Collection[str]) -> str | None:
    """Return the part of a package's version that decides bits; None if it does not count."""
    if name not in _OWN or version is None or name in (now.get("config", {}).get("packages") or ()):
        return version
    counts = {"numpy": OBJECTIVE not in now or bool(samplers), "scipy": _SOBOL in samplers}
    if not counts.get(name, False):
        return None
    whole = name == "numpy" and now.get(ARITHMETIC) == NUMPY
    return version if whole else ".".join(version.split(".")[:2])
