"""The versions of user code that trained the trials of a campaign: the first one, and those accepted since."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from optuna.trial import FrozenTrial
from pydantic import Field

from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.campaign.words import counted, join_words
from coarsefine.search.results.study import Study
from coarsefine.search.storage.tables import (
    ACCEPTED,
    ACCEPTED_VERSIONS,
    ARITHMETIC,
    OBJECTIVE,
    RESULTS,
    VERSION_CHANGES,
    VERSIONS,
)


@dataclass(frozen=True)
class SourceVersion(JsonForm):
    """A version of the source of user code."""

    digest: Annotated[str, Field(description="SHA-256 of the file")]
    accepted: Annotated[str | None, Field(description="when the change to it was accepted; null for the first version")]
    trials: Annotated[int, Field(description="that ended with it")]
    ended: Annotated[dict[str, list[int]], Field(exclude=True)] = field(default_factory=dict)
    """The numbers of these trials, by stage."""
    kept: Annotated[dict[str, Any], Field(exclude=True)] = field(default_factory=dict)
    """What the studies keep of it: the text as `source`, or the digests of a command's `files`; empty for neither."""

    @property
    def text(self) -> str:
        """Return the version in words, without its digest."""
        which = f"the one accepted {_local(self.accepted)}" if self.accepted else "the first"
        return f"{which} ({counted(self.trials, 'trial')})"


def sources_of(studies: Iterable[Study]) -> tuple[SourceVersion, ...]:
    """Return the versions that a campaign was searched with, oldest first; none for the network.

    Trials of earlier versions of Coarsefine do not say which they ended with: that was the first one.
    """
    searched = [study for study in studies if OBJECTIVE in study.attrs]
    if not searched:
        return ()
    changes = [change for study in searched for change in study.attrs.get(ACCEPTED, ())]
    changes.sort(key=lambda change: str(change["time"]))
    first = changes[0]["from"] if changes else searched[0].attrs[OBJECTIVE]["digest"]
    accepted: dict[str, str | None] = {first: None}
    for change in changes:
        accepted.setdefault(change["to"], change["time"])
    kept = _kept(searched, changes)
    return tuple(
        SourceVersion(digest, time, sum(map(len, ended.values())), ended, kept.get(digest, {}))
        for digest, time in accepted.items()
        for ended in [_ended_with(digest, searched, first)]
    )


def _ended_with(digest: str, studies: Iterable[Study], first: str) -> dict[str, list[int]]:
    """Return the numbers of the trials that ended with a version, by stage."""
    numbers = {
        study.attrs["stage"]: [
            trial.number
            for trial in study.trials
            if trial.state.is_finished() and trial.user_attrs.get("source", first) == digest
        ]
        for study in studies
    }
    return {stage: found for stage, found in numbers.items() if found}


def _kept(studies: Iterable[Study], changes: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what studies keep of each version, by digest. Earlier versions of Coarsefine kept only the last text."""
    earlier = {change["from"]: change.get("before", {}) for change in changes}
    present = [study.attrs[OBJECTIVE] for study in studies]
    return earlier | {
        each["digest"]: {key: each[key] for key in ("source", "files") if key in each} for each in present
    }


@dataclass(frozen=True)
class VersionChange(JsonForm):
    """A change of package versions, or of what rounds the trials, with which a campaign went on."""

    accepted: Annotated[str, Field(description="when it was accepted")]
    before: Annotated[dict[str, str | None], Field(description="the versions that differ, as they were, by name")]
    after: Annotated[dict[str, str | None], Field(description="the same, as the later trials were trained with")]

    @property
    def text(self) -> str:
        """Return the change in words."""
        pairs = ", ".join(
            f"{name} {self.before[name] or 'unknown'} → {self.after[name] or 'none'}" for name in self.before
        )
        return f"{pairs} (accepted {self.accepted})"


def version_changes_of(studies: Iterable[Study]) -> tuple[VersionChange, ...]:
    """Return the changes of versions with which a campaign went on, oldest first."""
    changes = [change for study in studies for change in study.attrs.get(ACCEPTED_VERSIONS, ())]
    changes.sort(key=lambda change: str(change["time"]))
    found: dict[str, VersionChange] = {}
    for change in changes:
        before, after = _flat(change["from"]), _flat(change["to"])
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        pair = {name: before.get(name) for name in names}, {name: after.get(name) for name in names}
        found.setdefault(str(pair), VersionChange(change["time"], *pair))
    return tuple(found.values())


def versions_of(study: Study, trial: FrozenTrial) -> dict[str, str]:
    """Return the versions of packages with which a trial ended."""
    changes = study.attrs.get(ACCEPTED_VERSIONS, ())
    later = changes[trial.user_attrs.get(VERSION_CHANGES, 0) :]
    found: dict[str, str] = (later[0]["from"] if later else study.attrs).get(VERSIONS, {})
    return found


def _flat(attrs: dict[str, Any]) -> dict[str, str | None]:
    """Return the versions and the arithmetic among a study's attributes, by name."""
    return {**attrs.get(VERSIONS, {}), ARITHMETIC: attrs.get(ARITHMETIC), RESULTS: str(attrs.get(RESULTS, 1))}


def described(sources: Sequence[SourceVersion]) -> str | None:
    """Return a sentence about the versions that trained trials; None if there is only one."""
    trained = [source for source in sources if source.trials]
    if len(trained) < 2:  # noqa: PLR2004
        return None
    versions = join_words([source.text for source in trained])
    return f"{len(trained)} versions of the code trained these trials: {versions}."


def _local(time: str) -> str:
    """Return a time of a record as people on this machine write it, to the minute."""
    return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"
