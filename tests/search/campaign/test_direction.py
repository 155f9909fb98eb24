"""Campaigns that minimize: they search as if the negated values were maximized, and store and show the values as is."""

import math
import re

import optuna
import pytest
from campaigns import write_campaign
from hypothesis import given
from hypothesis import strategies as st
from stored import table

from coarsefine import Campaign, run
from coarsefine.search.campaign.direction import Direction

HALVING = {"stage": {"coarse": {"trials": 12, "pruner": "halving", "rungs": [1, 3]}, "fine": {"trials": 6}}}
CONFIRM = {"confirm": {"top": 4, "seeds": 3}}


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_best_value(values):
    """The best value is the highest one or the lowest one, and has the lowest key."""
    highest, lowest = Direction
    assert (highest.best(values), lowest.best(values)) == (max(values), min(values))
    assert min(values, key=highest.key) == max(values)
    assert max(values, key=lowest.key) == max(values)
    assert highest.better(1.0, 0.0)
    assert lowest.better(-math.inf, 0.0)
    assert not any(direction.better(values[0], values[0]) for direction in Direction)


def searched(folder, function, **changes):
    """Search a campaign of a function; return its status and its table."""
    folder.mkdir(exist_ok=True)
    campaign = Campaign.load(
        write_campaign(folder, "objective", objective=f"user_functions:{function}", **changes) / "small.toml"
    )
    return run(campaign, folder / "studies.db"), table(folder / "studies.db")


@pytest.mark.parametrize(
    ("seed", "function", "mirror"),
    [(0, "single", "mirrored"), (1, "single", "mirrored"), (2, "several", "several_mirrored")],
)
def test_minimizing_the_negative_is_maximizing(tmp_path, seed, function, mirror):
    """A campaign that minimizes −f has the points, pruned trials, finalists, tie and winner of one that maximizes f.

    The values are stored as the function returns them.
    """
    changes = {"seed": seed, **HALVING, **CONFIRM}
    status, rows = searched(tmp_path / "f", function, **changes)
    other, mirrored = searched(tmp_path / "g", mirror, direction="minimize", **changes)
    assert [row[0].name for row in rows.values()].count("PRUNED") > 0
    assert mirrored.keys() == rows.keys()
    for key, (state, point, values, epochs, attrs) in rows.items():
        negated = ([-value for value in values], {epoch: -value for epoch, value in epochs.items()})
        assert mirrored[key] == (state, point, *negated, attrs), key
    assert (other.winner.study, other.winner.number) == (status.winner.study, status.winner.number)
    assert other.winner.value == -status.winner.value
    verdict, expected = other.verdict, status.verdict
    assert (verdict.tied, verdict.summary) == (expected.tied, expected.summary)
    assert verdict.optimism == expected.optimism
    for finalist, twin in zip(verdict.finalists, expected.finalists, strict=True):
        assert (finalist.number, finalist.probability_best) == (twin.number, twin.probability_best)
        assert (finalist.behind, finalist.confirmed.mean) == (twin.behind, -twin.confirmed.mean)
    for stage, twin in zip(other.stages, status.stages, strict=True):
        assert [trial.number for trial in stage.best] == [trial.number for trial in twin.best]
        assert stage.space == twin.space


@pytest.fixture(scope="module")
def minimized(tmp_path_factory):
    """Search a campaign that minimizes a loss; return its folder and status."""
    folder = tmp_path_factory.mktemp("minimized")
    changes = {"epochs": None, "direction": "minimize", "metric": "val_loss"}
    return folder, searched(folder, "loss", **changes)[0]


def test_optuna_reads_direction_and_metric(minimized):
    """`optuna.load_study` shows the direction and the metric's name of each study, and finds the same best trial."""
    folder, status = minimized
    for stage in status.stages:
        study = optuna.load_study(study_name=stage.study, storage=f"sqlite:///{folder / 'studies.db'}")
        assert (study.direction.name, study.metric_names) == ("MINIMIZE", ["val_loss"])
        assert study.best_value == min(trial.value for trial in study.trials) > 0
        if stage.best:
            assert study.best_value == stage.best[0].value


def test_status_and_best_show_the_metric(minimized, cli):
    """Tables are headed by the metric's name, start with the lowest value, and the JSON has name and direction."""
    folder, status = minimized
    storage = ("--storage", folder / "studies.db")
    for command in ("status", "best"):
        code, out, error = cli(command, *storage)
        assert code == 0, error
        assert re.search(r"^trial +a +shape +val_loss +seed$", out, re.MULTILINE)
        assert re.search(rf"^Winner: .*, val_loss {status.winner.value:.5g}$", out, re.MULTILINE)
        shown = [float(line.split()[3]) for line in out.partition("small/fine")[0].splitlines()[3:] if line]
        assert shown == sorted(shown)
        assert len(shown) == 3
    assert status.as_dict()["metric"] == status.best().as_dict()["metric"] == {
        "name": "val_loss", "title": "val_loss", "is_share": False, "direction": "minimize",
    }  # fmt: skip


def test_without_finalists_the_lowest_value_wins(tmp_path, cli):
    """Without confirmation the trial with the lowest value of all stages wins, and is said to be optimistic."""
    status, rows = searched(tmp_path, "loss", epochs=None, direction="minimize", confirm=None)
    assert status.winner.value == min(values[0] for _, _, values, *_ in rows.values())
    assert f"The lowest of {len(rows)} values is optimistic." in cli("best", "--storage", tmp_path / "studies.db")[1]


def test_value_that_diverges_fails_its_trial(tmp_path):
    """A loss of −∞ is no best value: its trials fail as diverged, and others win."""
    status, rows = searched(tmp_path, "partly_infinite", epochs=None, direction="minimize", confirm=None)
    reasons = [attrs["reason"] for *_, attrs in rows.values() if attrs["reason"]]
    assert reasons
    assert set(reasons) == {"diverged in epoch 1: its value is -inf"}
    assert sum(stage.diverged for stage in status.stages) == len(reasons)
    assert math.isfinite(status.winner.value)


def test_direction_and_metric_identify_a_campaign(tmp_path, cli):
    """A campaign is resumed with the direction and metric that it was started with, given or by default, only."""
    changes = {"objective": "user_functions:loss", "epochs": None}
    searched(tmp_path, "loss", epochs=None)
    write_campaign(tmp_path, "objective", direction="maximize", **changes)
    code, _, error = cli("run", "small.toml", "--quiet")
    assert (code, error) == (0, "")
    write_campaign(tmp_path, "objective", direction="minimize", metric="loss", **changes)
    code, _, error = cli("run", "small.toml", "--quiet")
    assert code == 2
    assert "direction was 'maximize', now 'minimize'; metric was 'value', now 'loss'. Restore" in error


def test_report_of_a_campaign_that_minimizes(minimized, cli):
    """The report names the metric and calls the lowest value the best one."""
    folder, status = minimized
    code, _, error = cli("report", "--storage", folder / "studies.db", "--output", folder / "report.html")
    assert code == 0, error
    text = (folder / "report.html").read_text("utf-8").partition("<main>")[2].partition("</main>")[0]
    assert "the point with the lowest val_loss of the function" in text
    assert f"val_loss <strong>{status.winner.value:.5g}</strong>" in text
    assert '<th scope="col">val_loss</th>' in text
    assert "how often a finalist has the lowest mean" in text
    assert "direction = &#34;minimize&#34;\nmetric = &#34;val_loss&#34;" in text
    assert "highest" not in text
