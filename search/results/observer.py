"""The events of a run, as methods that an observer overrides."""

from collections.abc import Sequence

from coarsefine.search.arguments import require
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.labels import listed
from coarsefine.search.results.progress import StageProgress
from coarsefine.search.results.status import Status


def require_observer(argument: str, value: object) -> None:
    """Raise `UsageError` unless an argument is an observer or None."""
    fits = value is None or isinstance(value, Observer)
    require(fits, argument, value, "an instance of a subclass of coarsefine.Observer")


class Observer:
    """Receives a run's events and does nothing; subclass it to show or store them."""

    wants_detail = False
    """Whether worker processes on this machine send their details, too."""

    def on_message(self, sentence: str) -> None:
        """Handle news of the run."""

    def on_warning(self, sentence: str) -> None:
        """Handle a problem that should be fixed, though the run goes on; passed to `on_message` by default."""
        self.on_message(sentence)

    def on_outdated(self, sentence: str) -> None:
        """Handle a finished campaign whose function has changed since; passed to `on_warning` by default."""
        self.on_warning(sentence)

    def on_other_program(self, sentence: str) -> None:
        """Handle what another program added to the studies, or changed in them; `on_warning` by default."""
        self.on_warning(sentence)

    def on_locked(self, sentence: str) -> None:
        """Handle a wait for another process that has locked the SQLite file; passed to `on_warning` by default."""
        self.on_warning(sentence)

    def on_detail(self, sentence: str) -> None:
        """Handle a detail, such as a claim, a record or the traceback of a user's function."""

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Handle the start of a stage's training; `status` is that of the whole campaign."""

    def on_claimed(self, stage: str, numbers: Sequence[int]) -> None:
        """Handle a claim: this process trains these slots next."""
        self.on_detail(f"{stage}: claimed {listed(numbers)}")

    def on_resumed(self, stage: str, numbers: Sequence[int], epoch: int) -> None:
        """Handle claimed slots that resume after an epoch, where another process left them."""
        self.on_detail(f"{stage}: {listed(numbers)} resume{'s' * (len(numbers) == 1)} after epoch {epoch}")

    def on_recorded(self, stage: str, epochs: int, ended: Sequence[int]) -> None:
        """Handle a record of this process: the number of epochs, summed over trials, and the trials that ended."""
        self.on_detail(f"{stage}: recorded {epochs} epochs" + (f"; {listed(ended)} ended" if ended else ""))

    def on_progress(self, stage: StageProgress) -> None:
        """Handle possible progress of a stage, made by any process; `stage.snapshot()` reads it from the storage."""

    def on_final_opened(self, campaign: Campaign, status: Status) -> None:
        """Handle the start of the winner's final training."""

    def on_final_epoch(self, epoch: int, epochs: int, accuracy: float | None) -> None:
        """Handle an epoch of the final training; `accuracy` is the mean validation accuracy, None without one."""
