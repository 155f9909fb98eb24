"""Test pruners: which trials of a cohort continue, one of another package, and what is refused."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from campaigns import campaign_toml
from commands import coarsefine
from forked import forked_command
from hypothesis import given
from hypothesis import strategies as st
from packages import environment_with, install, install_example, run_example
from stored import table

from coarsefine import Campaign, CampaignError, run
from coarsefine.model.errors import ExtensionError
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.pruning import PRUNERS, Pruning, Rung, pruner
from coarsefine.search.campaign.sections import Stage


@given(st.integers(1, 64), st.data(), st.integers(2, 9))
def test_survivors_are_the_best(size, data, factor):
    """No pruned trial is better than a survivor, and as many survive as the factor allows, but at least one."""
    halving, cohort = pruner("halving", {"rungs": [1], "factor": factor}), range(7, 7 + size)
    found = data.draw(st.dictionaries(st.sampled_from(cohort), st.floats(allow_nan=False), min_size=1))
    kept = set(halving.survivors(Rung(1, 0, 5, cohort), found))
    assert len(kept) == min(max(1, -(-size // factor)), len(found))
    rank = {number: (-value, number) for number, value in found.items()}
    assert all(rank[a] < rank[b] for a in kept for b in found.keys() - kept)


@given(st.integers(1, 2000), st.sampled_from([16, 64]))
def test_cohorts_divide_a_stage(trials, largest):
    """Each slot is in one cohort; cohorts are ordered, of nearly equal size, and hold at most 64 slots, or 16."""
    pruning = replace(Pruning.of("halving", {}, 10), largest_cohort=largest)
    cohorts = list(pruning.cohorts_of(trials))
    assert [number for cohort in cohorts for number in cohort] == list(range(trials))
    assert all(pruning.cohort_of(number, trials) == cohort for cohort in cohorts for number in cohort)
    sizes = [len(cohort) for cohort in cohorts]
    assert max(sizes) <= largest
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 500), st.floats(1.1, 5))
def test_default_rungs_lie_before_the_last_epoch(epochs, factor):
    """The default rungs rise and lie before the last epoch; the stops lead from one to the next."""
    pruning = Pruning.of("halving", {"factor": factor}, epochs)
    assert list(pruning.rungs) == sorted(set(pruning.rungs))
    assert all(1 <= rung < epochs for rung in pruning.rungs)
    stops = [0]
    while stops[-1] < epochs:
        stops.append(pruning.next_stop(stops[-1]))
    assert stops == [0, *pruning.rungs, epochs]


def test_rungs_and_survivors_of_ten_epochs():
    """Ten epochs have rungs after 1 and 4; of 50 trials 25 and 13 survive; one epoch has no rung."""
    pruning, cohort = Pruning.of("halving", {}, 10), range(50)
    assert pruning.rungs == (1, 4)
    losers = {rung: pruning.losers(cohort, rung, {n: n / 50 for n in cohort}) for rung in pruning.rungs}
    assert losers[1] == dict.fromkeys(range(25), "pruned after epoch 1: not among the 25 best of 50")
    assert losers[4] == dict.fromkeys(range(37), "pruned after epoch 4: not among the 13 best of 50")
    assert Pruning.of("halving", {}, 1).rungs == ()
    assert Pruning.of("none", {}, 10).next_stop(0) == 10


def test_trials_that_ended_leave_their_place_to_others():
    """A trial that ended before a rung is not among those that are pruned, and another continues in its place."""
    pruning = Pruning.of("halving", {"rungs": [2]}, 5)
    values = {0: None, 1: 0.9, 2: 0.2, 3: 0.1}
    assert pruning.losers(range(4), 2, values).keys() == {3}
    assert pruning.losers(range(4), 2, {**values, 2: None}) == {}


def test_brackets_of_27_epochs():
    """With 27 epochs, a cohort of 49 trials has the four brackets of the paper; each has its rungs."""
    hyperband = pruner("hyperband", {})
    assert hyperband.rungs_of(27) == [1, 3, 9]
    assert [len(bracket) for bracket in hyperband.brackets(range(49), 27)] == [27, 12, 6, 4]
    pruning, cohort = Pruning.of("hyperband", {}, 27), range(49)
    continuing = set(cohort)
    left = []
    for rung in pruning.rungs:
        values = {number: number / 49 if number in continuing else None for number in cohort}
        losers = pruning.losers(cohort, rung, values)
        assert set(losers.values()) == {f"pruned after epoch {rung}: not among the best of its bracket"}
        continuing -= losers.keys()
        left.append([len(continuing & set(bracket)) for bracket in hyperband.brackets(cohort, 27)])
    assert left == [[9, 12, 6, 4], [3, 4, 6, 4], [1, 2, 2, 4]]
    assert pruning.epochs_of(49) == 1 * 49 + 2 * 31 + 6 * 17 + 18 * 9


@given(st.integers(1, 64), st.integers(1, 400), st.integers(1, 9), st.floats(1.5, 5), st.randoms(use_true_random=False))
def test_hyperband_prunes_within_brackets(size, epochs, least, factor, drawn):
    """Brackets divide a cohort; the last is never pruned; within the others no pruned trial is better than one kept."""
    hyperband, cohort = pruner("hyperband", {"least": least, "factor": factor}), range(5, 5 + size)
    brackets = list(hyperband.brackets(cohort, epochs))
    assert [number for bracket in brackets for number in bracket] == list(cohort)
    rungs = Pruning.of("hyperband", {"least": least, "factor": factor}, epochs).rungs
    assert len(brackets) == len(rungs) + 1
    assert all(rung >= least for rung in rungs)
    trained, continuing, start = 0, dict.fromkeys(cohort, 0.0), 0
    for place, epoch in enumerate(rungs):
        trained += len(continuing) * (epoch - start)
        start = epoch
        values = {number: drawn.randrange(9) / 8 for number in continuing}
        kept = set(hyperband.survivors(Rung(epoch, place, epochs, cohort), values))
        for skipped, bracket in enumerate(brackets):
            inside = [number for number in values if number in bracket]
            worst = min((values[number] for number in inside if number in kept), default=math.inf)
            assert not inside or worst < math.inf
            assert all(values[number] <= worst for number in inside if number not in kept)
            assert skipped <= place or kept >= set(inside)
        continuing = {number: values[number] for number in kept}
    assert hyperband.epochs_of(size, epochs) == trained + len(continuing) * (epochs - start)


@given(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_lowest_values_survive_if_a_campaign_minimizes(values):
    """Of negated values, a campaign that minimizes prunes the same trials as one that maximizes the values."""
    highest, lowest = (
        replace(Pruning.of("halving", {"rungs": [2]}, 5), direction=direction) for direction in Direction
    )
    found, negated = dict(enumerate(values)), {n: None if v is None else -v for n, v in enumerate(values)}
    cohort = range(len(values))
    assert lowest.losers(cohort, 2, negated) == highest.losers(cohort, 2, found)


@given(st.sampled_from(["none", "halving"]), st.integers(1, 40), st.integers(1, 200), st.data())
def test_own_pruners_keep_the_promises(name, epochs, trials, data):
    """At least one trial of a cohort survives, whatever the order of the values; planned epochs are what is trained."""
    pruning = Pruning.of(name, {}, epochs)
    planned = 0
    for cohort in pruning.cohorts_of(trials):
        alive, before = {number: data.draw(st.floats(0, 1)) for number in cohort}, 0
        for rung in pruning.rungs:
            planned += len(alive) * (rung - before)
            values = {number: alive.get(number) for number in cohort}
            losers = pruning.losers(cohort, rung, values)
            assert pruning.losers(cohort, rung, dict(reversed(values.items()))) == losers
            alive = {number: value for number, value in alive.items() if number not in losers}
            before = rung
            assert alive
        planned += len(alive) * (epochs - before)
    assert pruning.epochs_of(trials) == planned


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install the example of the documentation."""
    return install_example(tmp_path_factory.mktemp("site"), "near_best")


@pytest.fixture(scope="module")
def ran(site, tmp_path_factory):
    """Run the example's campaign with two worker processes; return the folder."""
    folder = tmp_path_factory.mktemp("near_best")
    run_example(folder, "near_best", site)
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a pruner of another package for this process."""

    def install_one(name, body):
        text = f"from coarsefine import Pruner\nclass Made(Pruner):\n{body}"
        install(tmp_path / "site", f"{name}-pruner", {PRUNERS.name: {name: f"{name}:Made"}}, **{name: text})
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return install_one


def test_pruner_of_another_package_prunes(ran):
    """Two workers prune after the package's rungs what its options say, with its reason."""
    rows = table(ran / "studies.db")
    reasons = {(study, len(row[3])): row[4]["reason"] for (study, _), row in rows.items() if row[0].name == "PRUNED"}
    assert reasons["near-best/coarse", 2] == "pruned after epoch 2: more than 0.2 behind the best"
    assert all(reason.startswith(f"pruned after epoch {epoch}: more than") for (_, epoch), reason in reasons.items())
    coarse = {number: row for (study, number), row in rows.items() if study == "near-best/coarse"}
    best = max(row[3][2] for row in coarse.values() if 2 in row[3])
    assert {number for number, row in coarse.items() if row[3].get(2, 0) < best - 0.2} == {
        number for number, row in coarse.items() if len(row[3]) <= 2
    }


def test_one_worker_gets_the_same_table(ran, site, tmp_path, monkeypatch):
    """One process prunes the same trials as two workers."""
    monkeypatch.syspath_prepend(str(site))
    run(Campaign.load(ran / "near_best.toml"), tmp_path / "studies.db")
    assert table(tmp_path / "studies.db") == table(ran / "studies.db")


def test_campaign_is_looked_at_without_the_package(ran):
    """Where the package is missing, status, report and export work; a run says what is missing."""
    for command in ("status", "best", "report", "export"):
        answer = forked_command(command, "near-best", cwd=ran)
        assert answer.returncode == 0, answer.stderr
    answer = forked_command("run", "near_best.toml", cwd=ran)
    assert answer.returncode == 2
    assert "stage 1, pruner: there is no pruner 'near_best' (known: none, halving, hyperband)." in answer.stderr


OPTIONS = {
    "unknown": (
        '{ name = "near_best", margn = 3 }',
        "pruner: unknown key 'margn': did you mean 'margin'? If not, remove it, or correct its spelling (",
    ),
    "bounds": ('{ name = "near_best", margin = -1 }', "pruner: margin = -1: must be greater than or equal to 0."),
    "no name": ("{ margin = 0.1 }", "'name' is missing in stage 1, pruner: add it."),
    "number": ("3", "stage 1, pruner = 3: a pruner is a name, or a table with a name, { name"),
    "own": ('{ name = "halving", factor = 0.5 }', "pruner: factor = 0.5: must be greater than 1."),
    "least": ('{ name = "hyperband", least = 0 }', "pruner: least = 0: must be greater than or equal to 1."),
    "rungs": ('{ name = "halving", rungs = [3] }', "stage 'coarse': rungs = [3] must lie before its last epoch, 3."),
    "both": (
        '{ name = "halving" }\nrungs = [1]',
        "the pruner has a table: put rungs into it, or remove the table.",
    ),
    "other": (
        '{ name = "near_best" }\nrungs = [1]',
        'rungs and factor need pruner = "halving": add that, or remove them.',
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_are_checked(site, tmp_path, monkeypatch, case):
    """Options that a pruner does not have or take are refused in one sentence."""
    monkeypatch.syspath_prepend(str(site))
    written, message = OPTIONS[case]
    text = campaign_toml(stage={"coarse": {"pruner": "HERE"}}).replace('"HERE"', written)
    (tmp_path / "small.toml").write_text(text, "utf-8")
    with pytest.raises(CampaignError) as error:
        Campaign.load(tmp_path / "small.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_table_is_another_form_of_keys(tmp_path):
    """A table with the options of halving prunes as the keys of the stage do, and is stored as it is written."""
    path = tmp_path / "small.toml"
    path.write_text(
        campaign_toml("halving", stage={"coarse": {"pruner": {"name": "halving", "rungs": [2, 5]}, "rungs": None}})
    )
    campaign = Campaign.load(path)
    assert campaign.pruning(campaign.stage[0]).rungs == (2, 5)
    assert campaign.as_stored()["stage"][0]["pruner"] == {"name": "halving", "rungs": [2, 5]}
    assert Campaign.from_stored(campaign.as_stored()).as_stored() == campaign.as_stored()


def test_hyperband_trains_the_epochs_of_its_brackets(tmp_path):
    """A stage with hyperband prunes in each bracket what its rungs leave, with two workers as with one."""
    text = campaign_toml(model={"epochs": 9}, stage={"coarse": {"trials": 22, "pruner": "hyperband"}})
    (tmp_path / "small.toml").write_text(text, "utf-8")
    for workers in (1, 2):
        answer = coarsefine("run", "small.toml", "--workers", workers, "--storage", f"{workers}.db", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
    rows = table(tmp_path / "1.db")
    assert table(tmp_path / "2.db") == rows
    rows = {number: row for (study, number), row in rows.items() if study == "small/coarse"}
    assert sorted(len(row[3]) for row in rows.values()) == [1] * 8 + [3] * 6 + [9] * 8
    assert {len(rows[number][3]) for number in range(18, 22)} == {9}, "the last bracket"


def test_options_of_an_added_pruner_are_no_keys_of_a_stage(site):
    """The options of a pruner that is added to Coarsefine change no stored stage: only halving's are keys of it."""
    script = (
        "from coarsefine.search.campaign import pruning\n"
        "pruning.PRUNERS.built_in['near_best'] = 'near_best:NearBest'\n"
        "from coarsefine.search.campaign.sections import Stage\n"
        "print(*Stage.model_fields)\n"
    )
    environment = {**os.environ, **environment_with(site)}
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == list(Stage.model_fields)


_RULE = "    def rungs_of(self, epochs): return "
_RUNGS = f"{_RULE}range(1, epochs)\n"
_KEEP = "    def survivors(self, rung, values): return values\n"
BROKEN = {
    "lacks_one": (_RUNGS, "lacks survivors: correct it, or name another pruner"),
    "late_rung": (
        "    def rungs_of(self, epochs): return [epochs]\n" + _KEEP,
        "rungs = [3] must lie before its last epoch, 3",
    ),
    "falling": (
        "    def rungs_of(self, epochs): return [2, 1]\n" + _KEEP,
        "rungs = [2, 1] must be epochs in rising order",
    ),
    "words": (
        f"{_RULE}['x']\n{_KEEP}",
        "stage 'coarse': the pruner 'words' of words-pruner 1.0 failed: TypeError: 'str' object cannot be",
    ),
    "exits_early": (
        f"{_RULE}__import__('sys').exit(3)\n{_KEEP}",
        "the pruner 'exits_early' of exits_early-pruner 1.0 failed: SystemExit",
    ),
    "validator": (
        "    @__import__('pydantic').model_validator(mode='after')\n    def check(self): 1 / 0\n" + _RUNGS + _KEEP,
        "the pruner 'validator' of validator-pruner 1.0 failed: ZeroDivisionError: division by zero.",
    ),
}
WRONG = {
    "none_left": (
        "return []",
        "keeps none of the 4 trials that a cohort has after epoch 1: at least one must",
    ),
    "stranger": ("return [0, 99]", "keeps 99, which is none of the 4 trials that a cohort has after epoch 1."),
    "by_chance": ("import random; return [random.random()]", "decides differently each time about the 4 trials that a"),
    "raising": ("return values[99]", "failed: KeyError: 99."),
    "number": ("return 3", "failed: TypeError: 'int' object is not iterable."),
    "exits": ("raise SystemExit('bye')", "failed: SystemExit: bye."),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_pruner_is_refused_by_the_campaign_file(installed, tmp_path, case):
    """What is no pruner, or has impossible rungs, is refused before anything is trained."""
    body, message = BROKEN[case]
    installed(case, body)
    (tmp_path / "small.toml").write_text(campaign_toml(stage={"coarse": {"pruner": case}}), "utf-8")
    with pytest.raises(CampaignError) as error:
        Campaign.load(tmp_path / "small.toml")
    assert message in str(error.value)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_survivors_are_refused(installed, case):
    """Survivors that are no trials of the cohort, none, or others each time are refused."""
    body, message = WRONG[case]
    installed(case, f"{_RUNGS}    def survivors(self, rung, values):\n        {body}\n")
    pruning = Pruning.of(case, {}, 3)
    with pytest.raises((CampaignError, ExtensionError)) as error:
        pruning.losers(range(4), 1, {number: number / 4 for number in range(4)})
    assert str(error.value).startswith(f"The pruner '{case}' of {case}-pruner 1.0 {message}")


def test_wrong_survivors_end_a_run(installed, tmp_path):
    """A run whose pruner keeps no trial ends with one sentence; its slots can be trained by the next run."""
    installed("nobody", f"{_RUNGS}    def survivors(self, rung, values): return []\n")
    (tmp_path / "small.toml").write_text(campaign_toml(stage={"coarse": {"pruner": "nobody"}}), "utf-8")
    answer = coarsefine("run", "small.toml", "--workers", 1, cwd=tmp_path)
    assert answer.returncode == 2
    assert "keeps none of the 9 trials" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "9 waiting" in coarsefine("status", "small", cwd=tmp_path).stdout


def test_time_left_counts_every_epoch_unless_the_pruner_knows_better(installed):
    """A pruner that does not say how many epochs are trained is planned as if it pruned none."""
    installed("silent", _RUNGS + _KEEP)
    assert Pruning.of("silent", {}, 5).epochs_of(100) == 500
