"""What a run says where no live view can be drawn: plain lines, on a pipe, in a file, in CI."""

from optuna.trial import TrialState

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.metric import Metric
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.progress import StageProgress, best_of
from coarsefine.search.results.status import Status
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.status_tables import err, percent, ranges

_LONG = 100
"""A stage of more trials gets a line for each look at which some had ended, which is about one a stack."""
_FINAL_LINES = 10
"""How many lines the final training gets."""


class Quiet(Observer):
    """Prints what should be mended, and nothing else."""

    def on_warning(self, sentence: str) -> None:
        """Print a warning."""
        err.print(sentence, markup=False)


class Talking(Observer):
    """Prints what is said, and details where they are wanted."""

    def __init__(self, *, verbose: bool) -> None:
        self.wants_detail = verbose

    def on_message(self, sentence: str) -> None:
        """Print a sentence."""
        err.print(sentence, markup=False)

    def on_detail(self, sentence: str) -> None:
        """Print it where details are wanted."""
        if self.wants_detail:
            self.on_message(sentence)


class Lines(Talking):
    """A line for each trial that ended; in stages of more than 100 trials, for each look at which some had."""

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Tell the stage's ranges, and how much is to be done."""
        standing = next(s for s in status.stages if s.study == stage.study)
        left = f"{standing.trials - len(stage.endings)} of {standing.trials}"
        self.on_message(f"{stage.stage}: {left} trials to train, {stage.epochs} epochs each; {ranges(standing)}")

    def on_progress(self, stage: StageProgress) -> None:
        """Tell which trials ended since the last look."""
        before = len(stage.endings)
        snapshot = stage.snapshot()
        trials = snapshot.progress.trials
        if trials > _LONG and snapshot.new:
            self.on_message(f"{stage.stage} {len(stage.endings)}/{trials}  {_summary(snapshot.new, stage)}")
            return
        width = len(str(trials))
        for count, ending in enumerate(snapshot.new, before + 1):
            trial = f"trial {ending.number:<{width}}  {labels.point_columns(ending.point)}"
            told = how(ending, stage.campaign.metric)
            self.on_message(f"{stage.stage} {count:>{width}}/{trials}  {trial}  {told}")

    def on_final_opened(self, campaign: Campaign, status: Status) -> None:
        """Tell whose final training begins."""
        assert status.winner is not None, "the winner is to be trained"  # noqa: S101
        winner = f"trial {status.winner.trial.number} of {status.winner.study}"
        seeds = f", {campaign.final_settings.seeds} seeds" if campaign.final_settings.seeds > 1 else ""
        self.on_message(f"Final training of the winner, {winner}, {campaign.final_settings.epochs} epochs{seeds}.")

    def on_final_epoch(self, epoch: int, epochs: int, accuracy: float | None) -> None:
        """Tell an epoch of the final training, ten of them in all."""
        tenths = [done * _FINAL_LINES // epochs for done in (epoch - 1, epoch)]
        if tenths[0] < tenths[1]:
            validation = f"  validation {percent(accuracy)}" if accuracy is not None else ""
            self.on_message(f"final {epoch:>{len(str(epochs))}}/{epochs}{validation}")


def how(ending: FinishedTrial, metric: Metric) -> str:
    """Return how a trial ended: its value, or the reason why it has none."""
    if ending.state is TrialState.FAIL:
        return ending.reason or "failed"
    value = metric.text(ending.value) if ending.value is not None else "no value"
    return f"{value}  pruned after epoch {ending.epochs}" if ending.state is TrialState.PRUNED else value


def _summary(new: tuple[FinishedTrial, ...], stage: StageProgress) -> str:
    kinds = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed or diverged"}
    counts = {told: sum(ending.state is state for ending in new) for state, told in kinds.items()}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    best = best_of(stage.endings)
    if best is None:
        return f"{told}; none completed yet"
    return f"{told}; best {how(best, stage.campaign.metric)}, trial {best.number}, {labels.point_text(best.point)}"
