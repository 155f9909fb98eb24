"""Campaigns of the command `user_command.py`, also with all of its faults, and what these lead to."""

import re
import sys
from pathlib import Path

from campaigns import write_campaign

PROGRAM = Path(__file__).with_name("user_command.py")
EPOCHS = "have it report as often as `{epochs}` or COARSEFINE_EPOCHS says, or set `epochs` to "
MODES = {
    "single": None,
    "floods": None,
    "leaves": None,
    "closes": None,
    "moves": None,
    "metrics": None,
    "is killed": None,
    "crashes": r"was killed by signal 11 \(SIGSEGV\); it printed last: about to crash",
    "exits": r"ended with exit code 3; it printed last: first \| wrong model: linaer",
    "fails at its end": "ended with exit code 4; it printed nothing",
    "says nothing": "it ended with exit code 0, and wrote no value to the file that COARSEFINE_REPORT names; it "
    "printed nothing",
    "returns too early": f"returned after 5 reports, and `epochs` is 6: {EPOCHS}5; it printed nothing",
    "reports too often": f"reported more than 6 times, and `epochs` is 6: {EPOCHS}the number of reports that it makes",
    "reports text": "its report 'no number' is not a line of JSON: Expecting value: line 1 column 1 (char 0)",
    "diverges": "diverged in epoch 2: its value is nan",
    "counts from zero": "reported epoch 0, where epoch 1 is due: report each epoch once",
}
"""What each mode of the program leads to: the reason of a failure, or None if the trial completes."""


def only(**changes):
    """Return the changes after which the campaign has its first stage only, with these changes."""
    return {"stage": {"coarse": changes, "fine": None}, "confirm": None}


def command(mode="single"):
    """Return the command that runs the program."""
    return [sys.executable, "-S", "-E", str(PROGRAM), mode, "{a}", "{seed}", "{epochs}"]


def write_faulty(folder):
    """Write a campaign into a folder whose trials have all modes of the program."""
    space = {"a": [0.001, 1.0], "mode": {"choice": [*MODES]}}
    write_campaign(
        folder,
        "objective",
        objective=None,
        command=command("{mode}"),
        max_failures=1000,
        seed=8,  # with which few trials have all modes
        **only(trials=26, space=space),
    )


def check_faulty(rows):
    """Check that the trials of that campaign have completed or failed as their modes do."""
    assert {point["mode"] for _, point, *_ in rows.values()} == set(MODES)
    for state, point, *_, attrs in rows.values():
        reason = MODES[point["mode"]]
        assert state.name == ("COMPLETE" if reason is None else "FAIL")
        assert reason is None or re.fullmatch(reason if "\\" in reason else re.escape(reason), attrs["reason"]), attrs
