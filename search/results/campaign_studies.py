"""The studies of a campaign in a storage, the trials in them, and the campaign that they hold."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Literal

from optuna.trial import FrozenTrial
from pydantic import ValidationError

from coarsefine.model.extensions import missing_packages
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import CampaignError, StorageError, UsageError
from coarsefine.search.results.edited import Restored, restored, stages_of
from coarsefine.search.results.own_slots import as_slots
from coarsefine.search.results.study import Study
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.study_headers import StudyName


def find_studies(storage: Storage, campaign: str) -> dict[str, Study]:
    """Return a campaign's studies by name, in the order of the stages. Studies of other programs are left out."""
    found = (_read(storage, header) for header in _headers(storage, campaign))
    return {study.name: study for study in found if study is not None}


def find_headers(storage: Storage, campaign: str) -> dict[str, Study]:
    """Return a campaign's studies like `find_studies`, but without their trials, however many these are."""
    return {h.name: Study(h.id, h.name, h.attrs, (), edits=h.edits) for h in _headers(storage, campaign)}


def named_after(study: str) -> str:
    """Return the campaign that a study, given by its name, is named after."""
    return study.rpartition("/")[0]


def other_studies(storage: Storage, campaign: str, studies: Container[str]) -> list[StudyName]:
    """Return the studies that are named after a campaign, or say they are its own, and are not among its `studies`."""
    return [study for study in of_campaign(storage.queries.names(), campaign) if study.name not in studies]


def of_campaign(known: Iterable[StudyName], campaign: str) -> list[StudyName]:
    """Return those of a storage's studies that are named after a campaign, or say they are its own."""
    return [study for study in known if campaign in {named_after(study.name), study.campaign}]


def own_and_copies(known: Iterable[StudyName], campaign: str) -> tuple[list[StudyName], list[StudyName]]:
    """Return the studies of a campaign's stages, whatever other programs have called them, and the copies of these.

    Of several studies of a stage, that with its name is the stage's, or else the oldest.
    """
    named = [study for study in known if study.campaign == campaign]
    chosen: dict[str | None, StudyName] = {}
    for study in sorted(named, key=lambda study: (not study.is_own, study.study_id)):
        chosen.setdefault(study.stage, study)
    own = [study for study in named if chosen[study.stage] is study]
    return own, [study for study in named if chosen[study.stage] is not study]


def _headers(storage: Storage, campaign: str) -> list[Restored]:
    """Return the studies in the order of their stages; of two of a stage, one that was put back has the higher id.

    They have the attributes that Coarsefine wrote, whatever another program made of them.
    """
    found = [restored(study) for study in storage.headers(f"{campaign}/")]
    for study in found:
        if (key := study.damaged) is not None:
            raise StorageError(f"The attribute {key!r} of study {study.name} is damaged: it is not JSON.")
    return sorted((s for s in found if _is_of(s, campaign)), key=lambda study: (place_of(study.attrs), study.id))


def _is_of(study: Restored, campaign: str) -> bool:
    """Return whether a study is one of a campaign's; a copy of one has another name."""
    return study.attrs.keys() >= {"config", "stage", "space"} and study.name == f"{campaign}/{study.attrs['stage']}"


def place_of(attrs: Mapping[str, Any]) -> int:
    """Return the place of a study's stage among those of its campaign, given the study's attributes, damaged or not."""
    names, stage = stages_of(attrs), attrs["stage"]
    return names.index(stage) if stage in names else len(names)


def _read(storage: Storage, header: Restored) -> Study | None:
    """Return a study with its slots; None if another program has deleted it meanwhile."""
    if not (trials := storage.trials_of(header.id)):
        return None
    slots, others = as_slots(trials, header.attrs)
    return Study(
        header.id,
        header.name,
        header.attrs,
        slots,
        others,
        edits=header.edits,
        label_notes=header.label_notes,
        checks=storage.queries.checks(header.id),
    )


def read_studies(storage: Storage, name: str | None) -> tuple[str, dict[str, Study]]:
    """Return a campaign's name and its studies, at least one; without a name, those of the only one in the storage.

    Raises `UsageError` if the storage does not hold that campaign.
    """
    name = named_campaign(storage, name)
    if not (studies := find_studies(storage, name)):
        renamed = next(study.name for study in other_studies(storage, name, ()) if study.campaign == name)
        raise StorageError(
            f"{storage.location} has campaign {name} under another name: another program renamed a study of it to "
            f"{renamed}. `coarsefine run` with the campaign's file says how to give it back its name."
        )
    return name, studies


def named_campaign(storage: Storage, name: str | None) -> str:
    """Return the name of a campaign in the storage; raise `UsageError` if it does not hold that one."""
    known = campaign_names(storage)
    name = known[0] if name is None and len(known) == 1 else name
    if name is None or name not in known:
        raise UsageError(" ".join([f"{storage.location} {_choice(name, known)}.", *strange_studies(storage)]))
    return name


def strange_studies(storage: Storage) -> list[str]:
    """Return a sentence for each study that says which stage it is, and not of which campaign: that is damaged."""
    strange = [study.name for study in storage.queries.names() if study.stage is not None and study.campaign is None]
    return [f"The study {name} does not say which campaign it is of. It is left out." for name in strange]


def _choice(name: str | None, known: Sequence[str]) -> str:
    """Return which campaigns a storage holds, as part of a sentence that asks for the name of one."""
    if not known:
        return "holds no campaign: start one with `coarsefine run`, or give another --storage"
    asked = (
        f"has no campaign '{name}': name one of those it has"
        if name is not None
        else ("holds several campaigns: name one of them")
    )
    return f"{asked} ({', '.join(known)})"


def find_trial(studies: Mapping[str, Study], stage: str, number: int) -> tuple[Study, FrozenTrial]:
    """Return a trial with its study; `stage` may also be the study's name. Raises `UsageError` if there is none."""
    for study in studies.values():
        if stage in {study.name, study.attrs["stage"]}:
            for trial in study.trials:
                if trial.number == number:
                    return study, trial
    known = ", ".join(f"{s.attrs['stage']}#0 to #{len(s.trials) - 1}" for s in studies.values())
    raise UsageError(f"There is no trial {f'{stage[:80]}#{number}'!r}: the campaign has {known}.")


def campaign_of(
    studies: Mapping[str, Study], *, extra: Literal["forbid", "ignore"] = "forbid", to_read: bool = False
) -> Campaign:
    """Return the campaign that studies store, at least one; `extra` is that of `Campaign.from_stored`.

    If it is only `to_read`, not to train, keys are ignored while packages are missing: a setting of theirs may be one.

    Raises `CampaignError` if this version of Coarsefine cannot read it, or if a package is missing that it needs.
    """
    study = next(iter(studies.values()))
    try:
        return Campaign.from_stored(study.attrs["config"], extra=extra)
    except ValidationError as error:
        lacking = missing_packages(study.attrs.get("versions", {}))
        if lacking and to_read and extra == "forbid":
            return campaign_of(studies, extra="ignore")
        if lacking:
            raise CampaignError(f"{study.name} needs {' and '.join(lacking)}: install what is missing.") from error
        raise CampaignError(
            f"{study.name} was started by another version of Coarsefine: {sentence(error, Campaign)} Use that version, "
            "or start again under another name or --storage."
        ) from error


def campaign_names(storage: Storage) -> list[str]:
    """Return the names of all campaigns in a storage, in the order in which they were started."""
    return list(dict.fromkeys(study.campaign for study in storage.queries.names() if study.campaign is not None))
