"""Plain lines about a run, for a pipe, a file or CI, where no live view can be drawn."""

from optuna.trial import TrialState

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.words import counted
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.progress import StageProgress, best_of
from coarsefine.search.results.status import Status
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.console import print_message
from coarsefine.search.terminal.status_tables import ranges

_MOST_TRIAL_LINES = 100
"""The most trials of a stage that get a line each. A larger stage gets one whenever some have finished: one a stack."""
_FINAL_LINES = 10
"""Lines about the final training."""


class WarningPrinter(Observer):
    """Print warnings, and nothing else."""

    def on_warning(self, sentence: str) -> None:
        """Print a warning."""
        print_message(sentence)

    def on_outdated(self, sentence: str) -> None:
        """Print nothing: the command prints the sentence after the tables."""


class MessagePrinter(Observer):
    """Print messages and warnings, and details if `verbose`."""

    def __init__(self, *, verbose: bool) -> None:
        self.wants_detail = verbose

    def on_message(self, sentence: str) -> None:
        """Print a message."""
        print_message(sentence)

    def on_outdated(self, sentence: str) -> None:
        """Print nothing: the command prints the sentence after the tables."""

    def on_detail(self, sentence: str) -> None:
        """Print a detail if details are wanted."""
        if self.wants_detail:
            self.on_message(sentence)


class PlainOutput(MessagePrinter):
    """Print a line for each finished trial, or in stages of more than 100 trials whenever some have finished."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__(verbose=verbose)
        self._failed_first: dict[tuple[str, str], int] = {}
        """The number of the trial whose line has a stage's reason in full."""

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Print the stage's ranges, and how many trials are left to train."""
        opened = next(s for s in status.stages if s.study == stage.study_name)
        left = f"{opened.trials - len(stage.finished)} of {opened.trials}"
        each = labels.epochs_each(stage.campaign, stage.epochs)
        self.on_message(f"{stage.stage_name}: {left} trials to train{each}; {ranges(opened, stage.campaign.metric)}")

    def on_progress(self, stage: StageProgress) -> None:
        """Print which trials have finished since the last snapshot."""
        count_before = len(stage.finished)
        snapshot = stage.snapshot()
        total = snapshot.progress.trials
        if total > _MOST_TRIAL_LINES and snapshot.new:
            self.on_message(f"{stage.stage_name} {len(stage.finished)}/{total}  {_summary(snapshot.new, stage)}")
            return
        width = len(str(total))
        for count, trial in enumerate(snapshot.new, count_before + 1):
            where = f"{stage.stage_name} {count:>{width}}/{total}  trial {trial.number:<{width}}"
            point = labels.point_columns(trial.point, stage.campaign.metric, stage.space)
            self.on_message(f"{where}  {point}  {self._outcome(trial, stage)}")

    def _outcome(self, trial: FinishedTrial, stage: StageProgress) -> str:
        """Return how a trial finished; the reason of a failure in full only at its first trial of the stage."""
        if trial.state is TrialState.FAIL and trial.reason and not trial.diverged:
            first = self._failed_first.setdefault((stage.stage_name, trial.reason), trial.number)
            if first != trial.number:
                return f"the same reason as trial {first}"
        return outcome(trial, stage.campaign.metric)

    def on_final_opened(self, campaign: Campaign, status: Status) -> None:
        """Print which trial is trained to the end."""
        assert status.winner is not None, "the winner is to be trained"  # noqa: S101
        winner = f"trial {status.winner.number} of {status.winner.study}"
        final = campaign.network.final
        seeds = f", {final.seeds} seeds" if final.seeds > 1 else ""
        self.on_message(f"Final training of the winner, {winner}, {counted(final.epochs, 'epoch')}{seeds}.")

    def on_final_epoch(self, epoch: int, epochs: int, accuracy: float | None) -> None:
        """Print an epoch of the final training; ten are printed in all."""
        if epoch * _FINAL_LINES // epochs > (epoch - 1) * _FINAL_LINES // epochs:
            validation = f"  validation {ACCURACY.text(accuracy)}" if accuracy is not None else ""
            self.on_message(f"final {epoch:>{len(str(epochs))}}/{epochs}{validation}")


def outcome(trial: FinishedTrial, metric: Metric) -> str:
    """Return how a trial finished: its value, or the reason why it has none."""
    if trial.state is TrialState.FAIL:
        return trial.reason or "failed"
    value = metric.text(trial.value) if trial.value is not None else "no value"
    if trial.state is not TrialState.PRUNED:
        return value
    return f"{value}  pruned after epoch {trial.epochs}" if trial.epochs else "pruned before its first report"


def _summary(finished: tuple[FinishedTrial, ...], stage: StageProgress) -> str:
    kinds = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed or diverged"}
    counts = {kind: sum(trial.state is state for trial in finished) for state, kind in kinds.items()}
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    metric = stage.campaign.metric
    if (best := best_of(stage.finished, metric.direction)) is None:
        return f"{summary}; none completed yet"
    found = f"best {outcome(best, metric)}, trial {best.number}, {labels.point_text(best.point, metric)}"
    return f"{summary}; {found}"
