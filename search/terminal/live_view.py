"""The live view of a run on a terminal: the run updates it, and a thread of its own draws it twice a second.

The thread draws one frozen `LiveState`, which the run replaces as a whole, so that neither waits for the other.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from rich.text import Text

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.progress import StageProgress, StageSnapshot
from coarsefine.search.results.status import Status
from coarsefine.search.results.time_left import Rate
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.console import err
from coarsefine.search.terminal.live_layout import draw
from coarsefine.search.terminal.live_screen import Screen, echo_disabled
from coarsefine.search.terminal.live_state import (
    LiveState,
    Row,
    active_row,
    best_of_all,
    final_rows,
    idle_row,
    training_progress,
    with_seconds,
)
from coarsefine.search.terminal.plain_output import MessagePrinter, PlainOutput, WarningPrinter

_MOST_FINISHED = 40
"""Number of the last finished trials that are kept for drawing."""


def observe_run(hint: str, stop: Callable[[], bool], verbose: bool | None) -> AbstractContextManager[Observer]:
    """Return the observer for people: a live view on a terminal, plain lines elsewhere.

    `hint` is the command that shows more; `stop` returns whether a stop was requested. Details are printed if
    `verbose` is True, and only warnings if it is False.
    """
    if verbose is False:
        return nullcontext(WarningPrinter())
    details = verbose is True
    return LiveView(hint, stop, verbose=details) if _can_draw() else nullcontext(PlainOutput(verbose=details))


def _can_draw() -> bool:
    """Return whether stderr is a terminal that a person looks at. FORCE_COLOR asks for colours, not for a live view."""
    in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    return sys.stderr.isatty() and err.is_terminal and not err.is_dumb_terminal and not in_ci


class LiveView(MessagePrinter, AbstractContextManager["LiveView"]):
    """Draw the campaign below the messages from its first stage on; leaving the context erases the view."""

    def __init__(self, hint: str, stop: Callable[[], bool], *, verbose: bool) -> None:
        super().__init__(verbose=verbose)
        self._hint, self._stop = hint, stop
        self._state: LiveState | None = None
        self._drawing = ExitStack()
        self._screen = Screen(err, self._lines)
        self._started = time.monotonic()
        self._opened: tuple[str, float] | None = None
        self._took: dict[str, float] = {}
        self._finished: list[tuple[str, FinishedTrial]] = []
        self._rate = Rate()
        self._trained = self._trained_before = 0

    def __exit__(self, *_: object) -> None:
        self._drawing.close()

    def on_message(self, sentence: str) -> None:
        """Print a message or a detail above the view."""
        with self._screen.undisturbed():
            super().on_message(sentence)

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Show this stage as the one in training."""
        self._proceed(stage.campaign, status)
        self._opened = stage.stage_name, time.monotonic()
        snapshot = stage.snapshot()
        self._add(stage, snapshot.new if self._finished else stage.finished)
        self._trained_before = self._trained - snapshot.trained
        self._show_stage(stage, snapshot)

    def on_progress(self, stage: StageProgress) -> None:
        """Show how far the stage has come."""
        snapshot = stage.snapshot()
        self._add(stage, snapshot.new)
        self._show_stage(stage, snapshot)

    def on_final_opened(self, campaign: Campaign, status: Status) -> None:
        """Show the final training as what is in training."""
        self._proceed(campaign, status)
        self._rate = Rate()
        self.on_final_epoch(0, campaign.network.final.epochs, None)

    def on_final_epoch(self, epoch: int, epochs: int, accuracy: float | None) -> None:
        """Show how far the final training has come."""
        self._rate.step(time.monotonic(), epoch)
        final = final_rows(self._campaign, epoch, accuracy, started=True)
        self._show(None, final, f"epoch {epoch} of {epochs} of the final training")

    def _proceed(self, campaign: Campaign, status: Status) -> None:
        if self._opened is not None:
            name, opened = self._opened
            self._took[name] = time.monotonic() - opened
        self._campaign, self._status, self._opened = campaign, status, None

    def _add(self, stage: StageProgress, finished: Sequence[FinishedTrial]) -> None:
        newest_first = ((stage.stage_name, trial) for trial in reversed(finished))
        self._finished = [*newest_first, *self._finished][:_MOST_FINISHED]

    def _show_stage(self, stage: StageProgress, snapshot: StageSnapshot) -> None:
        self._trained = self._trained_before + snapshot.trained
        if snapshot.progress.workers or self._trained:  # their rate does not include the time to start
            self._rate.step(time.monotonic(), self._trained)
        final, training = final_rows(self._campaign, 0, started=False), training_progress(stage, snapshot)
        self._show(active_row(stage, snapshot), final, training, stage, snapshot.progress.workers)

    def _show(
        self, active: Row | None, final: list[Row], training: str,
        stage: StageProgress | None = None, workers: int | None = None,
    ) -> None:  # fmt: skip
        pairs = zip(self._campaign.stages, self._status.stages, strict=True)
        rows = [idle_row(self._campaign, planned, status, self._took.get(planned.name)) for planned, status in pairs]
        rows = [active if active is not None and row.name == active.name else row for row in rows] + final
        now = time.monotonic()
        rate = self._rate.per_second(now)
        self._state = LiveState(
            campaign=self._campaign.name,
            parameters=tuple(self._campaign.bounds_of(self._campaign.stage[0])),
            rows=tuple(with_seconds(row, rate) for row in rows),
            started=self._started,
            updated=now,
            best=best_of_all(self._campaign, self._status, stage),
            finished=tuple(self._finished),
            workers=workers,
            training=training,
            rate=rate,
            epochs_per_trial=stage.epochs_per_trial if stage is not None else None,
            hint=self._hint,
            metric=self._campaign.metric,
            best_is_winner=self._status.verdict is not None,
        )
        if not self._screen.is_started:
            self._drawing.enter_context(echo_disabled(self._screen.draw_again))
            self._drawing.enter_context(self._screen)

    def _lines(self, width: int, height: int) -> list[Text]:
        if self._state is None:
            return []
        return draw(self._state, width, height, time.monotonic(), stopping=self._stop())
