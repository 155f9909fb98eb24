"""A campaign whose file was changed before any trial had a result starts again from the beginning."""

from collections.abc import Callable, Mapping

from optuna.trial import TrialState

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.results.campaign_studies import find_headers
from coarsefine.search.results.study import Study
from coarsefine.search.results.trial_files import trials_folder
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.training.identity import changed_settings


def has_result(studies: Mapping[str, Study]) -> bool:
    """Return whether a trial of these studies has completed or was pruned."""
    return any(study.count(state) for study in studies.values() for state in (TrialState.COMPLETE, TrialState.PRUNED))


def start_afresh(storage: Storage, campaign: Campaign, say: Callable[[str], None]) -> None:
    """Delete the studies of a campaign whose file has changed, if no trial has a result or is in training; say so.

    Studies stay if trials have left files in their folders: trials of the changed campaign have the same folders.
    """
    studies = find_headers(storage, campaign.name)
    if not (changes := changed_settings(studies, campaign)):
        return
    folder = trials_folder(storage.location, campaign.name)
    if folder.is_dir() and any(folder.iterdir()):
        return
    if storage.discard([study.id for study in studies.values()]):
        say(f"{campaign.name} starts again: no trial had a result before its file was changed ({changes}).")
