"""Campaigns of the faulty functions, and the check of how their trials have ended."""

import re
import shutil
from pathlib import Path

import faulty_functions
from campaigns import write_campaign
from faulty_functions import FAULTS

FORMS = ("one_fault_each", "one_fault_each_batch", "one_fault_each_objective")
"""The same faults in each form of function: plain, of batches, and an objective of Optuna."""
HERE = Path(faulty_functions.__file__)


def campaign_in(folder, function, trials, stage=None, **changes):
    """Write a campaign with one stage of a faulty function, next to the function's file."""
    shutil.copy(HERE, folder)
    stages = {"coarse": {"trials": trials, **(stage or {})}, "fine": None}
    return write_campaign(
        folder,
        "objective",
        objective=f"faulty_functions:{function}",
        epochs=None,
        stage=stages,
        confirm=None,
        **{"max_failures": 1000, **changes},
    )


def check_faults(rows):
    """Check that each trial has ended as its fault says."""
    for (_, number), (state, _, values, _, attrs) in rows.items():
        function, reason = FAULTS[number]
        if reason is None:
            assert (state.name, values) in [("COMPLETE", [0.5]), ("COMPLETE", [1.0])], (number, function, attrs)
        else:
            assert state.name == "FAIL", (number, reason)
            assert re.fullmatch(reason, attrs["reason"]), (number, attrs["reason"])
