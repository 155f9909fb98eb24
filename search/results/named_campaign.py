"""The campaign that a user names: one in the storage, a preset, or a campaign file."""

from contextlib import closing
from pathlib import Path

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.presets import preset_names
from coarsefine.search.errors import CampaignError
from coarsefine.search.results.campaign_studies import campaign_names, campaign_of, find_studies
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import open_storage, storage_exists


def find_campaign(source: str, storage: str | Path | Location) -> Campaign:
    """Return the campaign that was started under this name in the storage, else a preset or a campaign file.

    Raises the same errors as `Campaign.load`.
    """
    with closing(open_storage(locate(storage))) as opened:
        studies = find_studies(opened, source)
        known = () if studies else campaign_names(opened)
    if studies:
        return campaign_of(studies)
    try:
        return Campaign.load(source)
    except CampaignError as error:
        if known and isinstance(error.__cause__, FileNotFoundError):
            raise CampaignError(f"{error} Campaigns in {opened.location}: {', '.join(known)}.") from error
        raise


def find_campaign_to_run(source: str, storage: str | Path | Location) -> Campaign:
    """Return a preset or a campaign file; if there is neither, the campaign of this name in the storage.

    Raises the same errors as `Campaign.load`.
    """
    location = locate(storage)
    if source in preset_names() or Path(source).is_file() or not storage_exists(location):
        return Campaign.load(source)
    return find_campaign(source, location)
