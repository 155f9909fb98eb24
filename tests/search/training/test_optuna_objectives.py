"""Test Optuna objectives as the objectives of campaigns: what their trials record, and how they end."""

from pathlib import Path

import optuna
import optuna_objectives
import pytest
from optuna.trial import TrialState
from optuna_objectives import EPOCHS
from stored import table

from coarsefine import Campaign, NothingCompleted, run

HERE = Path(optuna_objectives.__file__).parent
FILE = """
name = "small"
objective = "optuna_objectives:{function}"
epochs = {epochs}
resumable = {resumable}
max_failures = 12

[[stage]]
name = "only"
trials = 12
pruner = "{pruner}"
space = {{ x = {{ uniform = [0.0, 1.0] }}, kind = {{ choice = ["None", "other"] }} }}
"""


def searched(folder, function, *, pruner="none", epochs=EPOCHS, workers=1, resumable="false"):
    """Search a campaign of an objective; return its trials."""
    folder.mkdir(exist_ok=True)
    (folder / "optuna_objectives.py").write_bytes((HERE / "optuna_objectives.py").read_bytes())
    text = FILE.format(function=function, pruner=pruner, epochs=epochs, resumable=resumable)
    (folder / "small.toml").write_text(text, "utf-8")
    run(Campaign.load(folder / "small.toml"), folder / "studies.db", workers=workers)
    return trials_of(folder)


def trials_of(folder):
    return optuna.load_study(study_name="small/only", storage=f"sqlite:///{folder / 'studies.db'}").trials


def failed_reasons(folder, function):
    """Search an objective whose trials all fail; return their reasons."""
    with pytest.raises(NothingCompleted):
        searched(folder, function)
    return {trial.user_attrs["reason"] for trial in trials_of(folder)}


def test_trial_records_what_the_objective_does(tmp_path):
    """Each new step is an epoch; the returned value is the trial's, the options and attributes are its own."""
    for trial in searched(tmp_path, "objective"):
        x = trial.params["x"]
        assert trial.value == x + 1 + (trial.params["kind"] == "None")
        assert trial.intermediate_values == {1 + step: x - 1 / (1 + 10 * step) for step in range(EPOCHS)}
        assert trial.user_attrs["number of the trial"] == trial.number


@pytest.mark.parametrize("function", ["objective", "never_asks"])
def test_rungs_prune_objectives(tmp_path, function):
    """Halving prunes the same trials whether the objective asks `should_prune` or ends at its next report."""
    trials = searched(tmp_path, function, pruner="halving")
    ranked = sorted(trials, key=lambda trial: -trial.params["x"])
    assert {trial.number for trial in trials if trial.state is TrialState.COMPLETE} == {t.number for t in ranked[:3]}
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert len(pruned) == 9
    assert all(trial.user_attrs["reason"].startswith("pruned after epoch") for trial in pruned)
    assert not any("finished" in trial.user_attrs for trial in pruned)


def test_same_table_for_any_number_of_workers(tmp_path):
    """Two workers record the same trials as one, pruned ones included."""
    for workers in (1, 2):
        searched(tmp_path / str(workers), "objective", pruner="halving", workers=workers)
    assert table(tmp_path / "1" / "studies.db") == table(tmp_path / "2" / "studies.db")


def test_objective_resumes_from_its_folder(tmp_path):
    """With `resumable`, an objective is ended at a rung and goes on from its folder, with the same table."""
    searched(tmp_path / "waits", "resumes", pruner="halving")
    searched(tmp_path / "resumes", "resumes", pruner="halving", resumable="true")
    assert table(tmp_path / "waits" / "studies.db") == table(tmp_path / "resumes" / "studies.db")


def test_fewer_reports_are_fine(tmp_path):
    """An objective that stops early completes with what it returns, and no rung waits for it."""
    trials = searched(tmp_path, "stops_early", pruner="halving")
    early = [trial for trial in trials if trial.params["x"] < 0.5 and trial.state is TrialState.COMPLETE]
    assert all(trial.value == 10 * trial.params["x"] for trial in early)
    assert all(len(trial.intermediate_values) <= EPOCHS for trial in trials)
    assert not any(trial.state is TrialState.FAIL for trial in trials)


def test_more_reports_than_epochs(tmp_path):
    """An objective that reports more often fails with the key to change."""
    (reason,) = failed_reasons(tmp_path, "reports_too_often")
    assert reason == (
        f"reported more than {EPOCHS} times, and `epochs` is {EPOCHS}: have it report as often as `trial.epochs` says, "
        "or set `epochs` to the number of reports that it makes"
    )


def test_objective_prunes_itself(tmp_path):
    """TrialPruned ends a trial without a rung, too, even before its first report; its attributes are kept."""
    trials = searched(tmp_path, "prunes_itself")
    for trial in trials:
        x = trial.params["x"]
        assert trial.user_attrs["x"] == x
        assert trial.state is (TrialState.PRUNED if x > 0.4 else TrialState.COMPLETE)
        assert trial.value == (None if x > 0.7 else x)
    reasons = {trial.user_attrs["reason"] for trial in trials if trial.state is TrialState.PRUNED}
    assert reasons == {"pruned itself after epoch 1", "pruned itself before its first report: x is too large"}


def test_self_pruned_trials_leave_the_others_to_a_rung(tmp_path):
    """A rung is decided although trials of its cohort have ended by themselves before it."""
    states = [trial.state for trial in searched(tmp_path, "prunes_itself", pruner="halving", epochs=3)]
    assert states.count(TrialState.COMPLETE) >= 1
    assert TrialState.RUNNING not in states


def test_names_of_our_own_attributes(tmp_path):
    """An attribute with the name of one of ours does not replace it; all are in `user_attrs`."""
    for trial in searched(tmp_path, "takes_our_names"):
        assert trial.state is TrialState.COMPLETE
        assert isinstance(trial.user_attrs["seed"], int)
        assert "reason" not in trial.user_attrs
        assert set(trial.user_attrs["user_attrs"].values()) == {"the objective's"}


def test_failed_objective_keeps_its_attributes(tmp_path):
    """What an objective stored before it failed is kept, as in Optuna."""
    (reason,) = failed_reasons(tmp_path, "fails")
    assert reason.startswith("OSError: no data (optuna_objectives.py, line ")
    assert all(trial.user_attrs["reached"] == trial.params["x"] for trial in trials_of(tmp_path))


MISFITS = {
    "asks_for_another": "CampaignError: trial.suggest_int('depth', 1, 9): the campaign has no parameter 'depth', only",
    "asks_for_whole_numbers": "CampaignError: trial.suggest_int('x', 1, 9) does not allow all of `x = {",
}


@pytest.mark.parametrize(("function", "start"), MISFITS.items())
def test_misfit_is_the_reason(tmp_path, function, start):
    """A suggest call that does not fit fails the trial with the line of TOML that fits."""
    reasons = failed_reasons(tmp_path, function)
    assert all(reason.startswith(start) for reason in reasons)
    assert all("`" in reason for reason in reasons)


def test_conditional_space_fails_where_it_is_met(tmp_path):
    """A trial that leaves out a parameter fails, and says that conditional spaces are not there yet."""
    for trial in searched(tmp_path, "branches"):
        if trial.params["kind"] == "None":
            assert trial.value == trial.params["x"]
        else:
            assert "did not ask for x" in trial.user_attrs["reason"]
            assert "conditional spaces are not there yet" in trial.user_attrs["reason"]


def test_global_generators_start_from_the_seed(tmp_path):
    """An objective that draws from the global generators repeats its values."""
    for name in ("first", "second"):
        searched(tmp_path / name, "draws")
    first, second = (table(tmp_path / name / "studies.db") for name in ("first", "second"))
    assert first == second
    assert len({tuple(values) for _, _, values, _, _ in first.values()}) == 12
