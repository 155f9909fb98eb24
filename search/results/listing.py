"""The campaigns of a storage, each with its state and the counts of its trials."""

from dataclasses import dataclass

from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.errors import SearchError
from coarsefine.search.results.campaign_studies import campaign_names, strange_studies
from coarsefine.search.results.status import Seconds, State, Status, TrialCounts
from coarsefine.search.results.status_reading import read_status
from coarsefine.search.storage.optuna_storage import Storage


@dataclass(frozen=True)
class ListedCampaign(JsonForm):
    """A campaign in a list."""

    campaign: str
    state: State
    seconds: Seconds
    stages: tuple[TrialCounts, ...]


@dataclass(frozen=True)
class CampaignList(JsonForm):
    """The campaigns of the storage, in the order in which they were started."""

    campaigns: tuple[ListedCampaign, ...]
    problems: tuple[str, ...]


def read_campaigns(storage: Storage) -> tuple[list[Status], list[str]]:
    """Return the status of each campaign of a storage, and sentences about those that cannot be read."""
    found, problems = [], []
    for name in campaign_names(storage):
        try:
            found.append(read_status(storage, name))
        except SearchError as error:
            problems.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 - records of other programs may hold anything
            problems.append(unforeseen(name, error))
    return found, [*problems, *strange_studies(storage)]


def unforeseen(name: str, error: Exception) -> str:
    """Return a sentence about a campaign whose records broke the code that reads them."""
    return f"{name} cannot be read ({error!r}): another program has probably changed its records."


def listing(campaigns: list[Status], problems: list[str]) -> CampaignList:
    """Return campaigns in the form that the API and `coarsefine list --json` give."""
    listed = tuple(ListedCampaign(s.campaign, s.state, s.seconds, s.stages) for s in campaigns)
    return CampaignList(listed, tuple(problems))
