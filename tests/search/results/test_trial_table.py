"""All trials as a table: `coarsefine trials` and `coarsefine.trials`."""

import csv
import io
import json
import re
import sqlite3
import sys
from contextlib import closing

import optuna
import pandas as pd
import pytest

import coarsefine

METRICS = {"f1": [0.25, 0.5], "loss": [None, 1.5]}


def studies(path):
    """Yield the stage and the trials of each of the small campaign's studies, as Optuna reads them."""
    for stage in ("coarse", "fine"):
        yield stage, optuna.load_study(study_name=f"small/{stage}", storage=f"sqlite:///{path}").trials


def set_attr(path, key, value, trial=1):
    """Set a user attribute of a trial, by default of the first one of the coarse stage."""
    with closing(sqlite3.connect(path)) as connection, connection:
        row = (trial, key, json.dumps(value))
        connection.execute("DELETE FROM trial_user_attributes WHERE trial_id = ? AND key = ?", row[:2])
        connection.execute("INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)", row)


@pytest.fixture
def printed(cli, copied):
    """Return a function that runs `coarsefine trials` on a copy of the small campaign and returns what it prints."""

    def call(*options):
        code, out, error = cli("trials", "small", *options, "--storage", copied)
        assert (code, error) == (0, "")
        return out

    return call


def test_csv_has_every_trial(printed, copied):
    """The CSV has a header and a row for each trial: its state, value, parameters, seed, times and reason."""
    rows = iter([*csv.DictReader(io.StringIO(printed("--csv", "-")))])
    for stage, trials in studies(copied):
        for trial in trials:
            row = next(rows)
            assert (row["stage"], int(row["number"]), row["state"]) == (stage, trial.number, trial.state.name)
            assert row["value"] == ("" if trial.value is None else repr(trial.value))
            assert {name: float(row[f"params_{name}"]) for name in trial.params} == trial.params
            assert int(row["seed"]) == trial.user_attrs["seed"]
            assert row["reason"] == trial.user_attrs.get("reason", "")
            assert float(row["seconds"]) == pytest.approx(trial.duration.total_seconds(), abs=1e-3)
            assert re.fullmatch(r"\S+:\d+", row["worker"])
    assert next(rows, None) is None


def test_csv_has_the_fixed_settings_and_losses_of_the_network(printed, copied):
    """The settings that no stage searches have columns like those that are searched, and the losses are metrics."""
    first = next(csv.DictReader(io.StringIO(printed("--stage", "fine", "--csv", "-"))))
    assert (first["params_hidden"], first["params_batch"], first["params_rho"]) == ("10", "50", "0.9")
    (_, trials) = [*studies(copied)][1]
    assert float(first["metrics_train_loss"]) == trials[0].user_attrs["train_loss"][-1]


def test_csv_goes_to_a_file(cli, copied, tmp_path, printed):
    """`--csv FILE` writes what `--csv -` prints."""
    code, out, error = cli("trials", "--csv", tmp_path / "all.csv", "--storage", copied)
    assert (code, out, error) == (0, "", f"Written: {tmp_path}/all.csv\n")
    assert (tmp_path / "all.csv").read_text("utf-8") == printed("--csv", "-")


def test_epochs_have_rows_of_their_own(printed, copied):
    """With `--epochs` there is a row for each recorded epoch, with its value and its metrics."""
    rows = [*csv.DictReader(io.StringIO(printed("--epochs", "--stage", "fine", "--csv", "-")))]
    (_, trials) = [*studies(copied)][1]
    expected = [
        ("fine", t.number, epoch, value, t.user_attrs["train_loss"][epoch - 1])
        for t in trials
        for epoch, value in t.intermediate_values.items()
    ]
    found = [
        (r["stage"], int(r["number"]), int(r["epoch"]), float(r["value"]), float(r["metrics_train_loss"])) for r in rows
    ]
    assert found == expected


def test_json_has_every_trial(printed, copied):
    """The JSON has the parameters and the metrics of each trial as objects, and the fixed settings once."""
    set_attr(copied, "metrics", METRICS)
    answer = json.loads(printed("--json"))
    assert (answer["campaign"], answer["fixed"]["hidden"], len(answer["trials"])) == ("small", 10, 15)
    first = answer["trials"][0]
    assert first["metrics"].items() >= {"f1": 0.5, "loss": 1.5}.items()
    assert set(first["params"]) == {"eta", "lambda"}
    epochs = json.loads(printed("--json", "--epochs"))["epochs"]
    assert [row["metrics"]["loss"] for row in epochs[:2]] == [None, 1.5]


def test_table_names_trials_as_stage_and_number(printed, copied):
    """The table has a row for each trial, with its state and the reason if it did not train to its end."""
    set_attr(copied, "metrics", METRICS)
    heading, _, *rows = printed().splitlines()
    for name in ("trial", "η", "validation", "f1", "seed", "state"):
        assert name in heading.split()
    names = [f"{stage}#{trial.number}" for stage, trials in studies(copied) for trial in trials]
    assert [row.split()[0] for row in rows] == names
    for row, (_, trials) in zip(rows, studies(copied), strict=False):
        assert ("failed: diverged" in row) == (trials[0].state.name == "FAIL")
    assert len(printed("--epochs").splitlines()) > len(rows)


def test_frame_holds_the_same_as_the_csv(printed, copied):
    """The data frame has the columns and the numbers of the CSV; times are moments in UTC."""
    for options, arguments in (((), {}), (("--epochs",), {"epochs": True})):
        frame = coarsefine.trials("small", copied, **arguments)
        expected = pd.read_csv(io.StringIO(printed(*options, "--csv", "-")))
        assert [*frame.columns] == [*expected.columns]
        numbers = expected.select_dtypes("number").columns
        pd.testing.assert_frame_equal(frame[numbers], expected[numbers], check_dtype=False, check_exact=True)
    frame = coarsefine.trials(storage=copied, stage="fine")
    assert {*frame["stage"]} == {"fine"}
    assert (frame["ended"] - frame["started"]).dt.total_seconds().tolist() == pytest.approx(frame["seconds"].tolist())


def test_frame_without_pandas_is_an_error(copied, monkeypatch):
    """If pandas is missing, the error says what to install, and what needs no pandas."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(coarsefine.UsageError, match=r"pip install pandas.*`coarsefine trials --csv FILE`"):
        coarsefine.trials("small", copied)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("small", "--stage", "other"), "small has no stage 'other': it has coarse, fine."),
        (("other",), "has no campaign 'other'"),
        (("small", "--csv", "-", "--json"), "--csv writes CSV, and --json prints JSON: give one of the two."),
        (("small", "--csv", "/dev/null/all.csv"), "/dev/null/all.csv cannot be written"),
    ],
)
def test_bad_options_are_refused(cli, copied, options, sentence):
    """A stage, a campaign or a file that is not there, and two forms at once, are refused in a sentence."""
    code, out, error = cli("trials", *options, "--storage", copied)
    assert code in {2, 5}
    assert out == ""
    assert sentence in error


def test_edited_trials_are_left_out(cli, copied):
    """Trials whose metrics are not lists by name, as somebody may write them into the storage, are named, not shown."""
    set_attr(copied, "metrics", 7)
    set_attr(copied, "metrics", {"f1": 0.5}, trial=2)
    code, out, error = cli("trials", "small", "--csv", "-", "--storage", copied)
    assert code == 0
    assert error == "small/coarse: trials 0 to 1 cannot be read and are left out: not as Coarsefine writes it.\n"
    assert "metrics_f1" not in out.splitlines()[0]
    assert len(out.splitlines()) == 1 + 9 + 6 - 2
