"""Reading what can be read of a campaign, for those who look on: the rest is left out and named."""

from dataclasses import dataclass, replace

from coarsefine.search.campaign.space import Space
from coarsefine.search.errors import CampaignError
from coarsefine.search.results.campaign_studies import campaign_of, named_campaign, of_campaign, read_studies
from coarsefine.search.results.other_programs import left_out_of, notes_with_remedies
from coarsefine.search.results.own_slots import as_slots
from coarsefine.search.results.study import Study
from coarsefine.search.results.study_index import none_readable, read_index
from coarsefine.search.results.validation import valid_slots
from coarsefine.search.storage.optuna_storage import Storage


@dataclass(frozen=True, slots=True)
class ReadableCampaign:
    """What can be read of a campaign."""

    name: str
    studies: dict[str, Study]
    """The studies of stages by name, in the order of the stages, with their valid slots."""
    notes: tuple[str, ...]
    """What is left out, and what other programs have made of the campaign, with remedies; as sentences."""
    left_out: tuple[str, ...]
    """Only what is left out."""


def read_readable_studies(storage: Storage, name: str | None) -> ReadableCampaign:
    """Read a campaign; without a name, the only one in the storage.

    Raises `UsageError` if the storage does not hold that campaign, and `CampaignError` if no study of it can be read.
    """
    name = named_campaign(storage, name)
    named = of_campaign(storage.queries.names(), name)
    index = read_index(storage, studies=[study.study_id for study in named], patient=True)
    problems = index.problems.get(name, ())
    if name not in index.stages:
        campaign_of(read_studies(storage, name)[1], extra="ignore")  # raises if it knows a remedy
        raise CampaignError(none_readable(name, problems))
    studies, whole = {}, {}
    for header in index.stages[name]:
        attrs, study = header.attrs, f"{name}/{header.attrs['stage']}"
        found, unreadable = storage.readable_trials_of(header.id)
        slots, others = as_slots(found, attrs)
        valid, invalid = valid_slots(slots, Space.from_dict(attrs["space"]))
        studies[study] = Study(
            header.id,
            study,
            attrs,
            valid,
            others,
            (*unreadable, *invalid),
            called=header.name if header.name != study else None,
            edits=header.edits,
            label_notes=header.label_notes,
            checks=storage.queries.checks(header.id),
        )
        whole[study] = replace(studies[study], trials=slots) if invalid else studies[study]
    notes = notes_with_remedies(storage, campaign_of(studies, extra="ignore"), whole)
    sentences = [sentence for study in studies.values() for sentence in left_out_of(study)]
    return ReadableCampaign(name, studies, (*problems, *notes), (*problems, *sentences))
