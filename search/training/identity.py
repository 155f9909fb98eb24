"""What must stay the same between the first and the last run of a campaign, and how a difference is told."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.errors import CampaignError
from coarsefine.search.results.study import Study
from coarsefine.search.training.user_code.function import Function
from coarsefine.search.training.workload import Workload

_LIBRARIES = ("coarsefine", "numpy", "scipy")
"""Those that a trial's bits come from."""


def fingerprint(campaign: Campaign, workload: Workload) -> dict[str, Any]:
    """Return the attributes by which each study of the campaign is known."""
    known = {"config": campaign.fingerprint(), "versions": versions()}
    if isinstance(workload, Function):
        return {**known, "objective": {"name": workload.name, "digest": workload.digest}}
    return {**known, "data": images_attr(workload)}


def images_attr(data: Dataset) -> dict[str, str]:
    """Return the attribute by which the images are known."""
    return {"digest": data.digest, "description": data.description}


def versions() -> dict[str, str]:
    """Return the versions at hand of the libraries that a trial's bits come from."""
    return {name: version(name) for name in _LIBRARIES}


def refuse_other(studies: Mapping[str, Study], current: Mapping[str, Any]) -> None:
    """Raise `CampaignError` with the differences where studies were made from something else than `current`."""
    for study in studies.values():
        found = [line for key, value in current.items() for line in _differences(study.attrs.get(key), value, key)]
        if found:
            raise CampaignError(
                f"{study.name} was begun with something else: {'; '.join(found)}. "
                "Go back to what it was, or start anew under another name or --storage."
            )


def _differences(before: Any, now: Any, where: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for place, pair in enumerate(zip(before, now, strict=True), 1):
            yield from _differences(*pair, f"{where} {place}")
    elif before != now:
        yield f"{where} was {before!r}, now {now!r}"
