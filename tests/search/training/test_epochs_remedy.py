"""What is said of code that reports another number of epochs than its campaign gives, before a run and after one."""

import shutil

import pytest
from campaigns import write_campaign

from coarsefine import Campaign
from coarsefine.search.training.user_code.command import load_command
from coarsefine.search.training.user_code.epochs_remedy import EpochsRemedy
from coarsefine.search.training.user_code.function import load_function
from coarsefine.search.training.user_code.source_advice import advice

ONE_STAGE = {"stage": {"coarse": {"trials": 4}, "fine": None}, "confirm": None}
FIXED = """\
def train(point, seed, report):
    for epoch in range(6):
        report(point["a"] + len(point.get("shape", "")) + epoch)
"""


@pytest.mark.parametrize(
    ("remedy", "reports", "sentence"),
    [
        (EpochsRemedy(5), 0, "never called report(value), and `epochs` is 5: call it after each epoch, or remove "
         "`epochs` and `pruner` from the campaign's file"),
        (EpochsRemedy(5, "batched", in_final=True, may_change=False), 0,
         "never called report(values), and [final] has epochs = 5: call it after each epoch"),
        (EpochsRemedy(5), 4, "returned after 4 reports, and `epochs` is 5: have it report as often as `report.epochs` "
         "says, or set `epochs` to 4"),
        (EpochsRemedy(40, in_final=True, may_change=False), 20, "returned after 20 reports, and [final] has epochs = "
         "40: have it report as often as `report.epochs` says"),
        (EpochsRemedy(5, "command"), 4, "returned after 4 reports, and `epochs` is 5: have it report as often as "
         "`{epochs}` or COARSEFINE_EPOCHS says, or set `epochs` to 4"),
    ],
)  # fmt: skip
def test_remedy_fits_the_code_and_the_stage(remedy, reports, sentence):
    """The sentence names what the code asks for its epochs; other epochs only where the file may still change."""
    assert remedy.ended_after(reports) == sentence


@pytest.fixture
def folder(tmp_path, monkeypatch, made_file):
    """Return the working directory, with an empty storage and a function that always reports six times."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copy(made_file, tmp_path / "studies.db")
    return tmp_path


def written(folder, module, source=FIXED, **changes):
    (folder / f"{module}.py").write_text(source, "utf-8")
    write_campaign(folder, "objective", objective=f"{module}:train", **ONE_STAGE | changes)
    return Campaign.load(folder / "small.toml")


def test_final_training_of_other_epochs_can_be_repaired(folder, cli):
    """A function with epochs of its own is warned of; its failure in [final] leaves the results, and can be fixed."""
    written(folder, "fixed_epochs", final={"epochs": 9, "seeds": 3})
    code, out, error = cli("run", "small.toml", "--workers", 1)
    assert code == 3
    assert error.startswith(
        "Stage 'coarse' has 6 epochs and 'final' 9, and fixed_epochs:train does not ask how many: have it report as "
        "often as `report.epochs` says, else 'final' fails.\n"
    )
    assert "\nWinner: trial " in out
    *_, cause, remedy = error.splitlines()
    assert (
        "returned after 6 reports, and [final] has epochs = 9: have it report as often as `report.epochs` says."
        in cause
    )
    (folder / "fixed_epochs.py").write_text(FIXED.replace("range(6)", "range(report.epochs)"), "utf-8")
    for command in remedy.split("`")[1:4:2]:
        code, out, error = cli(*command.split()[1:], *(["--workers", 1] if " run " in command else []))
        assert code == 0, error
    assert "Final training of trial" in out


def test_try_names_epochs_and_parameters_that_are_not_used(folder, cli):
    """`try` says if a function reports another number of times, and which parameters of the space it never uses."""
    space = {"a": [0.001, 1.0], "units": {"integer": [1, 8]}, "shape": {"choice": ["round", "square"]}}
    written(folder, "tried", epochs=9, stage={"coarse": {"space": space}, "fine": None}, confirm=None)
    code, _, error = cli("try", "small.toml")
    assert (code, error.splitlines()) == (
        0,
        [
            "It returned after 6 reports, and `epochs` is 9: have it report as often as `report.epochs` says, or set "
            "`epochs` to 6.",
            "tried:train does not use units, which the campaign searches: use it, or take it out of the space.",
        ],
    )


def test_advice_about_a_command(folder):
    """A script that neither takes nor reads a parameter or its epochs is named; one that is not known is not."""
    (folder / "script.sh").write_text("#!/bin/sh\necho 1\n", "utf-8")
    write_campaign(
        folder, "objective", objective=None, command=["sh", "script.sh", "{a}"], final={"epochs": 9}, **ONE_STAGE
    )
    campaign = Campaign.load("small.toml")
    first, second = advice(campaign, load_command(campaign.command, folder))
    assert first.startswith("sh script.sh {a} does not use shape")
    assert "have it report as often as `{epochs}` or COARSEFINE_EPOCHS says" in second
    assert not [*advice(campaign, load_command(["sh", "-c", "echo"], folder))]


def test_no_advice_without_certainty(folder):
    """A function that hands its point or its `report` on, or asks for its epochs, is not suspected."""
    passes_on = "def train(point, seed, report):\n    return fit(report, **point)\n"
    campaign = written(folder, "passes_on", passes_on, final={"epochs": 9})
    function, _ = load_function(campaign.objective)
    assert not [*advice(campaign, function)]
