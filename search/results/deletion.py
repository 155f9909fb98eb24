"""Deleting a campaign: its studies, and the logs and files of its trials on this machine."""

import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.campaign.words import counted, join_words
from coarsefine.search.errors import UsageError
from coarsefine.search.results.campaign_studies import campaign_names, own_and_copies
from coarsefine.search.results.commands import shown_path
from coarsefine.search.results.trial_files import logs_folder, trials_folder
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.opening import check_storage, create_storage, open_storage
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.sqlite import backup_of, label_of_deletion


@dataclass(frozen=True)
class Deletion(JsonForm):
    """What belongs to a campaign, and is deleted with it."""

    campaign: str
    studies: tuple[str, ...]
    trials: Annotated[int, Field(description="in all of them")]
    folders: Annotated[tuple[str, ...], Field(description="with the logs and the files of its trials on this machine")]
    copies: Annotated[tuple[str, ...], Field(exclude=True)]
    """Studies that other programs copied from the campaign's, and that stay."""
    backup: Annotated[str | None, Field(description="the copy of the SQLite file as it was before; null without one")]

    @property
    def words(self) -> str:
        """Return what is deleted, and what stays, as sentences."""
        stages = f"{counted(len(self.studies), 'stage')} with {counted(self.trials, 'trial')}"
        what = join_words([stages, *(f"the folder {folder}" for folder in self.folders)])
        backup = f" A copy of the storage as it is goes to {Path(self.backup).parent} first." if self.backup else ""
        stays = f"Reports, exports and trained networks stay.{self.kept}"
        return f"Campaign {self.campaign} with all it has: {what}. {stays}{backup}"

    @property
    def kept(self) -> str:
        """Return a sentence about the copies, after a space; empty without any."""
        if not self.copies:
            return ""
        copies, verb = ("study", "was") if len(self.copies) == 1 else ("studies", "were")
        return (
            f" The {copies} {join_words(self.copies)} {verb} copied from it by another program and "
            f"{'stays' if verb == 'was' else 'stay'}: the same command, given again, deletes a copy."
        )


def plan_deletion(location: Location, campaign: str) -> Deletion:
    """Return what `delete` would delete; raise `UsageError` if the storage does not hold the campaign."""
    with closing(open_storage(location)) as storage:
        return _plan(storage, campaign, label_of_deletion(campaign))


def delete(location: Location, campaign: str) -> Deletion:
    """Delete a campaign's studies, then its files; return what was deleted.

    A SQLite file is copied to its backups first. Raises `UsageError`, and deletes nothing, while a process trains it.
    """
    check_storage(location, writing=True)
    with closing(create_storage(location)) as storage:  # one that Optuna copied has no leases yet
        plan = _plan(storage, campaign, label := label_of_deletion(campaign))
        storage.back_up(label)
        storage.delete_studies(plan.studies)
    for folder in plan.folders:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            Path(folder).parent.rmdir()  # if it was the last campaign with such files
    return plan


def _plan(storage: Storage, campaign: str, label: str) -> Deletion:
    """Return what belongs to a campaign; `label` is that of the backup."""
    own, copies = own_and_copies(storage.queries.names(), campaign)
    if not own:
        known = ", ".join(campaign_names(storage)) or "none"
        raise UsageError(f"{storage.location} has no campaign '{campaign}': name one of those it has ({known}).")
    studies = tuple(study.name for study in own)
    location = storage.location
    folders = tuple(str(shown_path(folder)) for folder in _folders(location, campaign))
    backup = str(shown_path(backup_of(location.path, label))) if location.path else None
    kept = tuple(study.name for study in copies)
    return Deletion(campaign, studies, storage.queries.count_trials(studies), folders, kept, backup)


def _folders(location: Location, campaign: str) -> Iterator[Path]:
    """Yield the folders that only this campaign writes into; none for a name that leads out of their parents."""
    if campaign in {".", ".."} or Path(campaign).name != campaign:
        return
    for folder in (logs_folder(location, campaign), trials_folder(location, campaign)):
        if folder.is_dir() and not folder.is_symlink():
            yield folder
