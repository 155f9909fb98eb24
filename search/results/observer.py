"""What a run lets others hear of it."""

from collections.abc import Iterable, Iterator, Sequence

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.results.progress import StageProgress
from coarsefine.search.results.status import Status


class Observer:
    """Hears how a run goes, and keeps it to itself; a subclass may tell."""

    wants_detail = False
    """Whether it wants to hear each `detail`, also of worker processes on this machine."""

    def on_message(self, sentence: str) -> None:
        """Hear something worth telling."""

    def on_warning(self, sentence: str) -> None:
        """Hear of something that should be mended, though the run goes on."""
        self.on_message(sentence)

    def on_detail(self, sentence: str) -> None:
        """Hear something that matters to those who look closely."""

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Hear how the campaign stands, of which a stage is to be trained now."""

    def on_claimed(self, stage: str, numbers: Sequence[int]) -> None:
        """Hear which slots this process trains next."""
        self.on_detail(f"{stage}: claimed {listed(numbers)}")

    def on_resumed(self, stage: str, numbers: Sequence[int], epoch: int) -> None:
        """Hear which of them another process left after an epoch, and go on from there."""
        self.on_detail(f"{stage}: {listed(numbers)} go{'es' * (len(numbers) == 1)} on after epoch {epoch}")

    def on_recorded(self, stage: str, epochs: int, ended: Sequence[int]) -> None:
        """Hear that this process recorded so many epochs, counted for each trial, and which trials ended."""
        self.on_detail(f"{stage}: recorded {epochs} epochs" + (f"; {listed(ended)} ended" if ended else ""))

    def on_progress(self, stage: StageProgress) -> None:
        """Hear that a stage may have come further, whoever trains it: `stage.snapshot()` asks the storage how far."""

    def on_final_opened(self, campaign: Campaign, status: Status) -> None:
        """Hear that the winner is to be trained."""

    def on_final_epoch(self, epoch: int, epochs: int, accuracy: float | None) -> None:
        """Hear of an epoch of the final training, and its mean validation accuracy, if that tells anything."""


def listed(numbers: Iterable[int]) -> str:
    """Return trial numbers in words: `trial 3`, `trials 0 to 4, 7`."""
    runs = [f"{first} to {last}" if first < last else f"{first}" for first, last in _runs(sorted(numbers))]
    one = len(runs) == 1 and " " not in runs[0]
    return f"{'trial' if one else 'trials'} {', '.join(runs)}"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    starts = [i for i, number in enumerate(numbers) if i == 0 or number != numbers[i - 1] + 1]
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield numbers[start], numbers[end - 1]
