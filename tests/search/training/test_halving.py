"""Test halving: which trials are pruned depends on their values alone, not on workers, stacks or kills."""

import itertools
import signal
from collections import Counter

import pytest
from campaigns import write_campaign
from commands import coarsefine
from optuna.trial import TrialState
from processes import finish, kill_repeatedly, start_pausing
from stored import counted, table

from coarsefine import Campaign, Interrupted, run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the small campaign with halving, and the table of its undisturbed run."""
    folder = tmp_path_factory.mktemp("halving")
    campaign = Campaign.load(write_campaign(folder, "halving") / "small.toml")
    run(campaign, folder / "studies.db")
    return campaign, table(folder / "studies.db")


def test_pruned_trials_are_stored_as_optuna_does(undisturbed):
    """Half of a stage is PRUNED at each rung, with its values and a reason; the rest trains to the end."""
    _, rows = undisturbed
    coarse = [row for (study, _), row in rows.items() if study == "small/coarse"]
    assert Counter(row[0] for row in coarse) == {TrialState.PRUNED: 9, TrialState.COMPLETE: 3}
    assert Counter(len(row[3]) for row in coarse) == {2: 6, 5: 3, 12: 3}
    for state, _, trial_values, steps, attrs in coarse:
        assert trial_values == [steps[max(steps)]]
        if state is TrialState.PRUNED:
            assert attrs["reason"].startswith(f"pruned after epoch {len(steps)}: not among the")
    after_two = sorted((row[3][2] for row in coarse), reverse=True)
    assert all(row[3][2] >= after_two[5] for row in coarse if len(row[3]) > 2)


@pytest.mark.parametrize("width", [1, 12])
def test_stack_width_does_not_change_which_trials_are_pruned(undisturbed, tmp_path, width):
    """The same trials are pruned with the same values, whether they train alone or in stacks."""
    campaign, rows = undisturbed
    stages = [stage.model_copy(update={"stack": width}) for stage in campaign.stage]
    run(campaign.model_copy(update={"stage": stages}), tmp_path / "other.db")
    assert table(tmp_path / "other.db") == rows


@pytest.mark.parametrize("questions", [4, 14, 30])
def test_stopped_at_a_rung_and_resumed(undisturbed, tmp_path, questions):
    """A run that stops with stacks parked at a rung resumes to the same pruned trials and values."""
    campaign, rows = undisturbed
    asked = iter(range(questions))
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "s.db", stop=lambda: next(asked, None) is None)
    run(campaign, tmp_path / "s.db")
    assert table(tmp_path / "s.db") == rows


def test_killed_workers_prune_the_same_trials(undisturbed, tmp_path):
    """Two processes, both of which are killed, end with the same pruned trials and values."""
    _, rows = undisturbed
    folder = write_campaign(tmp_path, "halving")
    assert kill_repeatedly(folder, processes=2, kills=2) >= 1
    finish(folder)
    assert table(folder / "studies.db") == rows


def test_four_workers_prune_the_same_trials(undisturbed, tmp_path):
    """Four workers that share a stage wait for each other's values at a rung, and prune the same trials as one."""
    _, rows = undisturbed
    answer = coarsefine("run", "small.toml", "--workers", 4, cwd=write_campaign(tmp_path, "halving"))
    assert answer.returncode == 0, answer.stderr
    assert table(tmp_path / "studies.db") == rows


def test_parked_slots_of_a_killed_worker_are_taken_over(undisturbed, tmp_path):
    """If a worker is killed with parked slots, the other takes them over, and the rung is decided."""
    _, rows = undisturbed
    folder = write_campaign(tmp_path, "halving")
    first = start_pausing(folder, question=4)
    assert counted(folder, "SELECT count(*) FROM trial_intermediate_values WHERE step = 2") == 4, "a stack is parked"
    questions = itertools.count(1)

    def kill_first():
        if next(questions) == 6:  # this run has trained its own stacks to the rung
            first.kill()
            first.wait()

    run(Campaign.load(folder / "small.toml"), folder / "studies.db", stop=kill_first)
    assert first.returncode == -signal.SIGKILL
    assert table(folder / "studies.db") == rows
