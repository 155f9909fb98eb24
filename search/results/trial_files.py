"""The files of single trials: a folder for what user code keeps, and a log of what it prints."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coarsefine.search.files import unwritable
from coarsefine.search.storage.location import Location

_TRIES = 3


def logs_folder(location: Location, campaign: str) -> Path:
    """Return the folder for the logs of a campaign's workers on this machine."""
    return location.output_folder("logs") / campaign


def trials_folder(location: Location, campaign: str) -> Path:
    """Return the folder with the folders of a campaign's trials."""
    return location.output_folder("trials").absolute() / campaign


def trial_folder(location: Location, campaign: str, stage: str, number: int) -> Path:
    """Return the folder of a trial, the same one for each attempt; it need not exist."""
    return trials_folder(location, campaign) / f"{stage}-{number}"


def trial_log(location: Location, campaign: str, stage: str, number: int) -> Path:
    """Return the file with what a trial has printed, in all attempts; it need not exist."""
    return log_in(logs_folder(location, campaign).absolute(), stage, number)


def log_in(logs: Path, stage: str, number: int) -> Path:
    """Return the file with what a trial has printed, in the folder of its campaign's logs."""
    return logs / "trials" / f"{stage}-{number}.log"


@dataclass(slots=True)
class TrialFiles:
    """The folder and the log of a trial that is trained."""

    folder: Path
    log: Path
    _heading: int | None = None
    """The size of a log that has a heading only; None if there was a log before."""

    def open(self, title: str) -> None:
        """Make the folder, and add a heading to the log; raise `StorageError` where that fails."""
        try:
            _make_folder(self.folder)
            _make_folder(self.log.parent)
            with self.log.open("ab") as file:
                is_new = file.tell() == 0
                now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
                file.write(f"── {title}, {now} ──\n".encode())
                self._heading = file.tell() if is_new else None
        except OSError as error:
            raise unwritable(Path(error.filename or self.log), error) from error

    def tidy(self) -> None:
        """Remove the folder if it is empty, and the log if the only attempt has printed nothing."""
        with suppress(OSError):
            self.folder.rmdir()
        with suppress(OSError):
            if self._heading is not None and self.log.stat().st_size == self._heading:
                self.log.unlink()

    def refer_to(self, other: Path) -> None:
        """Name the log of another trial, if it has what both have printed in one call."""
        with suppress(OSError):
            if other.exists():
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(f"trained in one call with another trial: see {other.name}\n")


def trial_files(location: Location, campaign: str, stage: str, number: int) -> TrialFiles:
    """Return the files of a trial."""
    named = (location, campaign, stage, number)
    return TrialFiles(trial_folder(*named), trial_log(*named))


def remove_empty_folders(location: Location, campaign: str) -> None:
    """Remove the folders for files of trials if there are none."""
    folder = trials_folder(location, campaign)
    for empty in (folder, folder.parent, trial_log(location, campaign, "", 0).parent):
        with suppress(OSError):
            empty.rmdir()


def _make_folder(folder: Path) -> None:
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # another process has removed an empty folder meanwhile
            return folder.mkdir(parents=True, exist_ok=True)
    return folder.mkdir(parents=True, exist_ok=True)
