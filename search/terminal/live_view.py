"""The live view of a run on a terminal: fed by the run, drawn twice a second by a thread of its own.

What is drawn follows from one frozen `Scene`, which the run replaces as a whole: neither waits for the other.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType
from typing import Self

from rich.console import ConsoleRenderable, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.progress import Rate, StageProgress, StageSnapshot
from coarsefine.search.results.status import Status
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.echo import silent
from coarsefine.search.terminal.live_layout import draw
from coarsefine.search.terminal.live_state import (
    Row,
    Scene,
    best_of_all,
    final_rows,
    moving_row,
    running,
    standing_row,
    timed,
)
from coarsefine.search.terminal.plain_output import Lines, Quiet, Talking
from coarsefine.search.terminal.status_tables import err

_FRAMES_PER_SECOND = 2
"""A frame takes some milliseconds from whoever trains in this process."""
_KEPT = 40
"""How many of the last finished trials are at hand."""


def watching(hint: str, stop: Callable[[], bool], *, quiet: bool, verbose: bool) -> AbstractContextManager[Observer]:
    """Return who watches a run for people: a live view on a terminal, plain lines elsewhere, warnings alone if quiet.

    `hint` is the command that shows more; `stop` tells whether a stop was asked for.
    """
    if quiet:
        return nullcontext(Quiet())
    return LiveView(hint, stop, verbose=verbose) if _can_draw() else nullcontext(Lines(verbose=verbose))


def _can_draw() -> bool:
    """Tell whether stderr is a terminal that somebody looks at. FORCE_COLOR asks for colours, not for this."""
    in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    return sys.stderr.isatty() and err.is_terminal and not err.is_dumb_terminal and not in_ci


class LiveView(Talking):
    """Draws the campaign below what is said, from its first stage on; leaving it wipes the view away."""

    def __init__(self, hint: str, stop: Callable[[], bool], *, verbose: bool) -> None:
        super().__init__(verbose=verbose)
        self._hint, self._stop = hint, stop
        self._scene: Scene | None = None
        self._drawing = ExitStack()
        self._screen = _Screen(self._lines)
        self._began = time.monotonic()
        self._opened: tuple[str, float] | None = None
        self._took: dict[str, float] = {}
        self._last: list[tuple[str, FinishedTrial]] = []
        self._rate = Rate()
        self._trained = self._before = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drawing.close()

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Move on to this stage."""
        self._move_on(stage.campaign, status)
        self._opened = stage.stage, time.monotonic()
        snapshot = stage.snapshot()
        self._add(stage, snapshot.new if self._last else stage.endings)
        self._before = self._trained - snapshot.trained
        self._show_stage(stage, snapshot)
        self._begin()

    def on_progress(self, stage: StageProgress) -> None:
        """Show how far the stage has come."""
        snapshot = stage.snapshot()
        self._add(stage, snapshot.new)
        self._show_stage(stage, snapshot)

    def on_final_opened(self, campaign: Campaign, status: Status) -> None:
        """Move on to the final training."""
        self._move_on(campaign, status)
        self._rate = Rate()
        self._show_final(0, campaign.final_settings.epochs, None)
        self._begin()

    def on_final_epoch(self, epoch: int, epochs: int, accuracy: float | None) -> None:
        """Show how far the final training has come."""
        self._show_final(epoch, epochs, accuracy)

    def _add(self, stage: StageProgress, ended: Sequence[FinishedTrial]) -> None:
        self._last = [*((stage.stage, ending) for ending in reversed(ended)), *self._last][:_KEPT]

    def _begin(self) -> None:
        if not self._screen.is_started:
            self._drawing.enter_context(silent())
            self._drawing.enter_context(self._screen)

    def _move_on(self, campaign: Campaign, status: Status) -> None:
        if self._opened is not None:
            name, opened = self._opened
            self._took[name] = time.monotonic() - opened
        self._campaign, self._status, self._opened = campaign, status, None

    def _show_stage(self, stage: StageProgress, snapshot: StageSnapshot) -> None:
        self._trained = self._before + snapshot.trained
        if snapshot.progress.workers or self._trained:  # how long workers take to start is not how fast they are
            self._rate.step(time.monotonic(), self._trained)
        rows = [*self._stages(moving_row(stage, snapshot)), *final_rows(self._campaign, 0, begun=False)]
        self._show(rows, running(stage, snapshot), stage, snapshot.progress.workers)

    def _show_final(self, done: int, epochs: int, accuracy: float | None) -> None:
        self._rate.step(time.monotonic(), done)
        rows = [*self._stages(None), *final_rows(self._campaign, done, accuracy, begun=True)]
        self._show(rows, f"epoch {done} of {epochs} of the final training")

    def _stages(self, moving: Row | None) -> list[Row]:
        pairs = zip(self._campaign.stages, self._status.stages, strict=True)
        standing = [standing_row(self._campaign, *pair, self._took.get(pair[0].name)) for pair in pairs]
        return [moving if moving is not None and row.name == moving.name else row for row in standing]

    def _show(
        self, rows: Sequence[Row], told: str, stage: StageProgress | None = None, workers: int | None = None
    ) -> None:
        now = time.monotonic()
        rate = self._rate.per_second(now)
        self._scene = Scene(
            campaign=self._campaign.name,
            searched=tuple(self._campaign.bounds_of(self._campaign.stage[0])),
            rows=tuple(timed(row, rate) for row in rows),
            began=self._began,
            at=now,
            best=best_of_all(self._campaign, self._status, stage),
            last=tuple(self._last),
            workers=workers,
            running=told,
            rate=rate,
            epochs_per_trial=stage.epochs_per_trial if stage is not None else None,
            hint=self._hint,
            metric=self._campaign.metric,
        )

    def _lines(self, width: int, height: int) -> list[Text]:
        if self._scene is None:
            return []
        return draw(self._scene, width, height, time.monotonic(), stopping=self._stop())


class _Screen(Live):
    """Lines at the bottom of the terminal, drawn anew twice a second for the size it then has."""

    def __init__(self, lines: Callable[[int, int], list[Text]]) -> None:
        self._draw = lines
        self._frame = self._shown = (0, 0)
        super().__init__(
            console=err, get_renderable=self._draw_frame, refresh_per_second=_FRAMES_PER_SECOND,
            transient=True, redirect_stdout=False, vertical_overflow="crop",
        )  # fmt: skip

    def _draw_frame(self) -> Group:
        width, height = self.console.size
        lines = self._draw(width, height)
        self._frame = max((line.cell_len for line in lines), default=0), len(lines)
        return Group(*lines)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Draw the frame after what is printed, in place of the last frame.

        Where the terminal became too small for that, nobody knows where its lines are now: some terminals fold them,
        some cut them. Then the screen is cleared.
        """
        found = super().process_renderables(renderables)
        width, height = self.console.size
        if self._shown[0] > width or self._shown[1] > height:
            found[0] = Control(ControlType.CLEAR, ControlType.HOME)
        self._shown = self._frame
        return found
