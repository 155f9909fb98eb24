"""The states of a slot, and what leads from one to another."""

from pathlib import Path

from optuna.trial import TrialState

from documentation.figures.drawing import TEXT, arrow, box
from reproduction.svg import text, write

_WAITING, _RUNNING = (8, 84, 112, 60), (190, 84, 112, 60)
_ENDS = {
    TrialState.COMPLETE: ("last epoch", 8),
    TrialState.PRUNED: ("rung", 88),
    TrialState.FAIL: ("diverged, error", 168),
}


def draw_figure(folder: Path) -> None:
    """Draw the states as boxes, with arrows between them."""
    parts = [
        *_state(_WAITING, TrialState.WAITING, "point and seed"),
        *_state(_RUNNING, TrialState.RUNNING, "under a lease"),
        arrow("M120 104 H182", (190, 104), "right"),
        text(155, 96, "claim", "small", "middle"),
        arrow("M246 144 V196 H64 V152", (64, 144), "up"),
        text(155, 190, "released, lease expired,", "small", "middle"),
        text(155, 210, "or the worker died", "small", "middle"),
        arrow("M226 84 V48 H266 V76", (266, 84), "down"),
        text(246, 40, "record, renew", "small", "middle"),
    ]
    for state, (why, top) in _ENDS.items():
        middle = top + 25
        parts += [
            *_state((372, top, 100, 50), state, why),
            arrow(f"M302 114 C336 114 330 {middle} 364 {middle}", (372, middle), "right"),
        ]
    write(folder / "slot.svg", 480, 226, "The life of a slot", [TEXT, *parts])


def _state(place: tuple[int, int, int, int], state: TrialState, note: str) -> list[str]:
    left, top, width, height = place
    x, y = left + width / 2, top + height / 2
    return [
        box(*place),
        text(x, y - 2, state.name, anchor="middle"),
        text(x, y + 14, note, "small", "middle"),
    ]
