"""What a trial's bits depend on: campaign, data or objective, library versions and this machine's arithmetic.

A campaign resumes only from studies with the same identity.
"""

import re
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from typing import Any

from coarsefine.model.arithmetic import NUMPY, arithmetic_kind, has_kernel
from coarsefine.model.datasets import Dataset
from coarsefine.model.datasets.kinds import PATH_KEY
from coarsefine.model.extensions import missing_packages
from coarsefine.model.kernel.library import VARIABLE, why_none
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.metric import VALUE
from coarsefine.search.errors import CampaignError
from coarsefine.search.results.edited import differences
from coarsefine.search.results.study import Study
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.tables import ARITHMETIC, OBJECTIVE, RESULTS, VERSIONS
from coarsefine.search.training.user_code.command import Command
from coarsefine.search.training.user_code.function import Function
from coarsefine.search.training.user_code.source_file import Change
from coarsefine.search.training.version_changes import (
    RESULTS_VERSION,
    changed_versions,
    samplers_left,
    without_versions,
)

_PATH = f"config.data.{PATH_KEY}"
"""Where the images are."""
_SOURCE = f"{OBJECTIVE}.digest"
"""The place of the digest of user code, which differs if a file has changed."""
_NOT_COMPARED = {
    _PATH,
    *(f"{OBJECTIVE}.{key}" for key in ("source", "files")),
    *(f"config.{key}" for key in ("max_failures", "timeout", "grace", "recycle", "gpus", "stage.gpus")),
}
"""Places that may differ: the digests say whether what they name is the same, or they change no result."""
_SECTIONS = frozenset({"data", "model", "confirm", "final"})
"""Keys of a campaign's file that are tables."""
_NUMBER = re.compile(r" \d+(?=\.)")
"""The number of a stage in a place."""

UserCode = Function | Command


def fingerprint(campaign: Campaign, workload: Dataset | UserCode) -> dict[str, Any]:
    """Return the study attributes that identify a campaign and what it trains.

    Raises `CampaignError` or `coarsefine.model.errors.ExtensionError` if a package is missing that the campaign needs.
    """
    known = {
        "config": campaign.as_stored(), VERSIONS: versions() | campaign.packages(), RESULTS: RESULTS_VERSION
    }  # fmt: skip
    if isinstance(workload, Command):
        return {**known, OBJECTIVE: {"name": workload.name, "form": workload.form, **workload.source.as_attr()}}
    if isinstance(workload, Function):
        return {**known, OBJECTIVE: {"name": workload.name, **workload.source.as_attr()}}
    return {
        **known,
        ARITHMETIC: arithmetic_kind(),
        "data": images_attr(workload),
        "images": workload.counts._asdict(),
    }


def images_attr(data: Dataset) -> dict[str, str]:
    """Return the study attribute that identifies the images."""
    return {"digest": data.digest, "description": data.description}


def versions() -> dict[str, str]:
    """Return the installed versions of the libraries that compute a trial's values."""
    return {name: version(name) for name in ("coarsefine", "numpy", "scipy")}


def missing_or_changed(study: Mapping[str, Any], samplers: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the packages that a study needs and are missing, and the versions that decide bits and have changed.

    The study is given by its attributes, the stages to be opened by their samplers. Both are in words, and nothing is
    imported but the kernel.
    """
    installed = versions()
    own = {name: number for name, number in study.get(VERSIONS, {}).items() if name not in installed}
    if missing := missing_packages(own):
        return missing, []
    installed |= {name: version(name) for name in own}
    arithmetic = {} if OBJECTIVE in study else {ARITHMETIC: arithmetic_kind()}
    known = {key: study[key] for key in (OBJECTIVE, "config") if key in study}
    now = {VERSIONS: installed, RESULTS: RESULTS_VERSION, **arithmetic, **known}
    changed = changed_versions(study, now, samplers)
    return [], [_describe(*difference, study, None) for difference in changed]


def refuse_other(studies: Mapping[str, Study], current: Mapping[str, Any], code: UserCode | None = None) -> None:
    """Raise `CampaignError` with the differences if a study was started with another identity than `current`.

    If it is only the source of the user's `code` that differs, the message shows how, and how to go on.
    """
    # The numbers of images follow from the digest of the data, and studies of earlier versions do not store them.
    compared = {key: value for key, value in without_versions(current).items() if key != "images"}
    left = samplers_left(study.attrs for study in studies.values()) if VERSIONS in current else ()
    for study in studies.values():
        change = Change(study.attrs.get(OBJECTIVE, {}), code.source) if code is not None else None
        found = _found(study, compared)
        versions_found = changed_versions(study.attrs, current, left)
        if change is not None and not versions_found and [place for place, *_ in found] == [_SOURCE]:
            raise CampaignError(_changed(study, change))
        if found or versions_found:
            described = "; ".join(
                _describe(*difference, study.attrs, change) for difference in (*found, *versions_found)
            )
            acceptable = all(place == _SOURCE for place, *_ in found)
            raise CampaignError(
                f"{study.name} was started with something else: {described}. "
                f"{_remedy(study, current, acceptable=acceptable)}"
            )


def changed_settings(studies: Mapping[str, Study], campaign: Campaign) -> str:
    """Return how a campaign's file differs from the one that its studies were started with; empty if it does not."""
    for study in studies.values():
        if found := _found(study, {"config": campaign.as_stored()}):
            return "; ".join(_describe(*difference, study.attrs, None) for difference in found)
    return ""


def accept_change(
    storage: Storage,
    studies: Mapping[str, Study],
    current: Mapping[str, Any],
    code: UserCode | None,
    say: Callable[[str], None],
) -> None:
    """Record that studies go on with the present versions, and source of the user's code, and say so if they differ.

    Raises `CampaignError` if anything else differs from `current`.
    """
    refuse_other(studies, {key: value for key, value in without_versions(current).items() if key != OBJECTIVE})
    left = samplers_left(study.attrs for study in studies.values())
    outdated = [study for study in studies.values() if changed_versions(study.attrs, current, left)]
    if outdated:
        present = {key: current[key] for key in (VERSIONS, ARITHMETIC, RESULTS) if key in current}
        storage.accept_versions([study.id for study in outdated], present)
        found = changed_versions(outdated[0].attrs, current, left)
        described = "; ".join(_describe(*difference, outdated[0].attrs, None) for difference in found)
        say(
            f"{outdated[0].name} was started with something else: {described}. The change is recorded, and the trials "
            "that are left are trained with what is here."
        )
    changed = [s for s in studies.values() if code is not None and s.attrs[OBJECTIVE]["digest"] != code.source.digest]
    if code is None or not changed:
        return
    change = Change(changed[0].attrs[OBJECTIVE], code.source)
    storage.accept_source([study.id for study in changed], current[OBJECTIVE], change.diff)
    say(
        f"{change.subject} {change.extent} from the version that {changed[0].name} was trained with: the change is "
        "recorded, and the trials that are left are trained with the present version."
    )


def _changed(study: Study, change: Change) -> str:
    """Return what has changed in a user's file since a study was started, and how to go on."""
    output = (
        " If the trials write it, let each write into its own folder: begin its name in the command with {folder}/, "
        "and give the campaign another name."
        if change.now.files is not None and change.diff is None
        else ""
    )
    return (
        f"{change.subject} {change.verb} changed since {study.name} was started{change.shown}"
        "To go on with the present file, give --accept-changes (in Python accept_changes=True), which records the "
        "change with the campaign. To search from the start with it, give the campaign another name or --storage. To "
        f"go on with the earlier file, restore it.{output}"
    )


def _remedy(study: Study, current: Mapping[str, Any], *, acceptable: bool) -> str:
    """Return what to do about a refusal; `acceptable` says whether the differences can be accepted."""
    before, now = study.attrs.get(ARITHMETIC), current.get(ARITHMETIC)
    accept = "give --accept-changes (in Python accept_changes=True) to go on with what is here, which records both, "
    if not acceptable:
        accept = ""
    if now is None or before == now:
        return f"Restore that, {accept}or start the campaign under another name or --storage."
    finish, reason = "that version", ""
    if before == NUMPY:
        finish = f"{VARIABLE}=none"
    elif before is not None and not has_kernel():
        finish, reason = "the kernel", f" {why_none()}"
    return f"Finish it with {finish}, {accept}or start the campaign under another name or --storage.{reason}"


def _may_differ(place: str) -> bool:
    return _NUMBER.sub("", place) in _NOT_COMPARED


def _found(study: Study, current: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return each place in which a study's attributes differ from `current`, with what was and what is there."""
    return [
        difference
        for key, value in current.items()
        for difference in differences(study.attrs.get(key), value, key, _may_differ)
    ]


def _describe(place: str, before: Any, now: Any, study: Mapping[str, Any], change: Change | None) -> str:
    """Return a difference in words. Versions before the kernel did not store the arithmetic."""
    if place == _SOURCE and change is not None:
        return f"{change.subject} {change.verb} changed since"
    if place == ARITHMETIC and before is None:
        return f"its trials were computed by an earlier version of Coarsefine, with other rounding than {now}"
    default = {"config.direction": Direction.MAXIMIZE.value, "config.metric": VALUE.name}.get(place)
    before, now = (_shown(place, default if value is None else value) for value in (before, now))
    return f"{_in_words(place, study)} was {before}, now {now}"


def _in_words(place: str, study: Mapping[str, Any]) -> str:
    """Return a place in the attributes of a study as the campaign's file has it: `stage 'coarse': trials`."""
    first, *rest = place.removeprefix("config.").split(".")
    kind, _, number = first.partition(" ")
    if place == first or not rest:
        return first
    if kind == "stage":
        first = f"stage '{study['config']['stage'][int(number) - 1]['name']}':"
    elif first in _SECTIONS:
        first = f"[{first}]"
    return f"{first} {' '.join(rest)}" if place.startswith("config.") else place


def _shown(place: str, value: Any) -> str:
    """Return a value of the attributes for people; of the stages only their names."""
    if value is None:
        return "not given"
    if place == "config.stage" and isinstance(value, list):
        return ", ".join(repr(stage["name"]) for stage in value)
    return repr(value)
