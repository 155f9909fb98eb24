"""Test the choice of the winner: finalists, their comparison on the same seeds, and campaigns that end with it."""

import json
import signal
import sys
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import optuna
import pytest
from campaigns import write_campaign
from commands import coarsefine
from hypothesis import given
from hypothesis import strategies as st
from processes import finish, signal_once, start
from scipy import stats
from stored import counted, table

from coarsefine import Campaign, CampaignError, NothingCompleted, run
from coarsefine.search.campaign import winner
from coarsefine.search.campaign.dimension import Choice, Integer, LogUniform, Uniform
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.metric import VALUE
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.winner import Candidate, choose_finalists, judge

HUGE = sys.float_info.max
CONFIRMED = {"confirm": {"top": 3, "seeds": 4}}


def candidate(number, value, eta=0.1, lam=1e-3):
    return Candidate("small/coarse", number, Point.of({"eta": eta, "lambda": lam}), value)


def spread(n):
    """Return n candidates that are far from one another, the smaller λ the better in the search."""
    return [candidate(number, 0.9 - number / 100, lam=10.0 ** (number - 6)) for number in range(n)]


def test_candidate_of_the_first_versions_is_read():
    """The first versions stored η and λ next to the number; today's form has `params`."""
    expected = candidate(3, 0.5)
    first = {"study": expected.study, "number": 3, "eta": 0.1, "lambda": 1e-3, "value": 0.5}
    assert Candidate.from_dict(first) == Candidate.from_dict(expected.as_dict()) == expected


def test_finalists_are_the_best_distinct_settings():
    """Of settings that are nearly the same, the better is kept; of equal values, the earlier."""
    found = [
        candidate(0, 0.5),
        candidate(1, 0.9, eta=0.2),
        candidate(2, 0.8, eta=0.21),
        candidate(3, 0.7, lam=1e-4),
        candidate(4, 0.7, lam=1e-5),
    ]
    bounds = Space.of({"eta": LogUniform(1e-3, 1.0), "lambda": LogUniform(1e-7, 0.1)})
    assert [c.number for c in choose_finalists(found, 3, 0.05, bounds)] == [1, 3, 4]
    assert [c.number for c in choose_finalists(found, 9, 0.0, bounds)] == [1, 2, 3, 4, 0]


@pytest.mark.parametrize(
    ("dimension", "one", "near", "far"),
    [
        (LogUniform(1e-3, 1.0), 0.1, 0.11, 0.115),
        (Uniform(0.5, 0.9), 0.7, 0.719, 0.725),
        (Integer(25, 200, 25), 100, 100, 125),
        (Choice(("relu", "tanh")), "relu", "relu", "tanh"),
    ],
)
def test_distance_of_settings_depends_on_the_dimension(dimension, one, near, far):
    """Settings are near in decades or in shares of a linear range; integers and options only if equal."""
    bounds = Space.of({"x": dimension})
    found = [Candidate("s", n, Point.of({"x": x}), 0.9 - n / 10) for n, x in enumerate((one, near, far))]
    assert [c.number for c in choose_finalists(found, 9, 0.05, bounds)] == [0, 2]


@pytest.mark.parametrize(
    "values",
    [
        [[-HUGE] * 3, [-HUGE] * 3],
        [[HUGE] * 3, [-HUGE] * 3],
        [[HUGE, -HUGE, HUGE], [HUGE, 0.5, -HUGE / 3]],
        [[1e200, 2e200, 4e200], [1e-300, 0.0, -1e200]],
    ],
)
def test_values_near_the_largest_float_are_compared(values):
    """Values near the largest float, alike or not, give finite estimates and the right winner."""
    found = [candidate(number, own[0], lam=10.0 ** (number - 6)) for number, own in enumerate(values)]
    verdict = judge(found, values, 3)
    json.dumps(verdict.as_dict(), allow_nan=False)
    assert [finalist.number for finalist in verdict.finalists] == [0, 1]
    assert verdict.finalists[0].confirmed.mean == pytest.approx(float(sum(map(Fraction, values[0])) / 3), rel=1e-12)
    for finalist in verdict.finalists:
        assert VALUE.spread(finalist.confirmed)


def test_huge_values_are_compared_as_small_ones_are():
    """A verdict on values times a power of two is the verdict on the values, times that power, to the bit."""
    values = [[0.41, 0.43, 0.40], [0.40, 0.44, 0.39]]
    small, huge = (judge([candidate(n, 0.4 * f) for n in (0, 1)], [[v * f for v in own] for own in values], 3)
                   for f in (1.0, 2.0**1000))  # fmt: skip
    for one, other in zip(small.finalists, huge.finalists, strict=True):
        assert other.confirmed == one.confirmed.times(2.0**1000)
        assert (other.number, other.probability_best) == (one.number, one.probability_best)


def test_interval_is_that_of_students_t():
    """The interval of a mean is the one that SciPy gives for Student's t."""
    values = np.array([0.41, 0.43, 0.40, 0.45])
    found = Estimate.of(values)
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)
    assert found.error == pytest.approx(stats.sem(values), rel=1e-12)


def test_clear_winner():
    """A finalist that leads on every seed by more than chance wins, even with a smaller λ."""
    verdict = judge(spread(2), [[0.82, 0.85, 0.81, 0.83], [0.80, 0.831, 0.792, 0.81]], seed=0)
    assert verdict.winner.number == 0
    assert verdict.tied == ()
    assert verdict.winner.probability_best == 1.0
    assert "clear winner" in verdict.summary


def test_value_that_does_not_depend_on_the_seed():
    """If each finalist has one value on all its seeds, the verdict says so, and claims no certainty."""
    own = "The value does not depend on the seed: each finalist has the same value on all its seeds, and "
    repeated = judge(spread(3), [[0.9] * 5, [0.89] * 5, [0.88] * 5], seed=0)
    assert repeated.summary == own + "confirmation repeats the search's value."
    assert repeated.winner.number == 0
    others = judge(spread(2), [[0.7] * 5, [0.6] * 5], seed=0)
    assert others.summary == own + "the intervals are 0."
    tied = judge(spread(3), [[0.9] * 5, [0.9] * 5, [0.88] * 5], seed=0)
    assert tied.summary.startswith(own + "the intervals are 0. A tie among 2 of 3 on these seeds. The winner is ")
    assert "clear winner" in judge(spread(2), [[0.9] * 5, [0.88, 0.88, 0.88, 0.88, 0.881]], seed=0).summary


@pytest.mark.parametrize("size", [1.0, 1e300])
def test_lead_that_says_little_is_no_clear_winner(size):
    """The verdict says so if differences are the same on all seeds, or small beside the interval of the mean."""
    noise = np.array([0.31, -0.22, 0.05, 0.4, -0.17])
    alike = judge(spread(3), [list(size * (noise - behind)) for behind in (0, 9.1353e-5, 0.02)], seed=0)
    assert (alike.winner.number, alike.tied) == (0, ())
    assert alike.summary.startswith("Each finalist is behind the winner by the same difference on every seed: ")
    wobble = 1e-5 * np.array([1, -1, 0, 1, -1])
    little = judge(spread(2), [list(size * noise), list(size * (noise - 9.1353e-5 + wobble))], seed=0)
    assert (little.winner.number, little.tied) == (0, ())
    assert little.summary.startswith("A winner by little: ")
    assert little.summary.endswith("by less than a tenth of the ± of its mean.")


def test_winner_without_rivals_leads_nobody():
    """If every other finalist failed on a seed, the verdict does not say that they are behind."""
    verdict = judge(spread(2), [[0.8, 0.9], [0.9, None]], seed=0)
    assert verdict.winner.number == 0
    assert verdict.summary == "The winner is the only finalist with a value on every seed."


def test_tie_goes_to_the_simplest_within_one_standard_error():
    """The largest λ within one standard error of the leader wins; a tie farther away is named but does not win."""
    leader = [0.80, 0.84, 0.79, 0.83]
    close = [0.81, 0.82, 0.80, 0.82]
    tied = [0.77, 0.81, 0.76, 0.84]
    behind = [0.60, 0.60, 0.61, 0.61]
    verdict = judge(spread(4), [leader, close, tied, behind], seed=0)
    assert [f.number for f in verdict.tied] == [0, 1, 2]
    assert "of the 2 within one standard error" in verdict.summary
    assert verdict.winner.number == 1
    assert "tie among 3 of 4" in verdict.summary


@pytest.mark.parametrize(
    ("points", "taken", "rule"),
    [
        (
            [{"hidden": 50, "lambda": 0.1}, {"hidden": 25, "lambda": 1e-5}],
            1,
            "the fewest hidden units, then the",
        ),
        ([{"eta": 0.2, "rho": 0.5}, {"eta": 0.1, "rho": 0.9}], 1, "leader: the smallest η."),
        ([{"rho": 0.5, "batch": 50}, {"rho": 0.9, "batch": 100}], 0, "The winner has the best mean."),
    ],
)
def test_simplest_depends_on_the_searched_settings(points, taken, rule):
    """Fewest hidden units count before λ and η if they were searched; without any, the best mean wins."""
    candidates = [Candidate("s", n, Point.of(point), 0.8) for n, point in enumerate(points)]
    verdict = judge(candidates, [[0.80, 0.84, 0.79, 0.83], [0.81, 0.82, 0.80, 0.82]], seed=0)
    assert verdict.winner.number == taken
    assert rule in verdict.summary


def test_finalist_that_fails_on_a_seed_does_not_win():
    """A finalist with a diverged seed cannot win; if all have one, the verdict has no winner and says so."""
    verdict = judge(spread(2), [[0.9, None, 0.9], [0.5, 0.6, 0.5]], seed=0)
    assert verdict.winner.number == 1
    assert verdict.finalists[-1].confirmed is None
    assert verdict.finalists[-1].probability_best == 0
    nobody = judge(spread(2), [[0.9, None], [None, 0.5]], seed=0)
    assert nobody.winner is None
    assert nobody.optimism is None
    assert nobody.summary == "No finalist held on every seed."


def test_optimism_is_that_of_the_searchs_best():
    """Optimism compares the search's best value with the confirmed mean of the same setting, not of the leader."""
    verdict = judge(spread(2), [[0.7, 0.8], [0.95, 0.97]], seed=0)
    assert verdict.optimism == pytest.approx(0.9 - 0.75)


accuracies = st.floats(0, 1).map(lambda share: round(share, 3))


@st.composite
def tables(draw):
    k, n = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    return [draw(st.lists(accuracies, min_size=n, max_size=n)) for _ in range(k)]


@given(tables())
def test_probabilities_add_up_to_one(values):
    """The finalists' probabilities of being best add up to 1, and the winner is one of them."""
    verdict = judge(spread(len(values)), values, seed=0)
    assert sum(f.probability_best for f in verdict.finalists) == pytest.approx(1, abs=1e-9)
    assert verdict.winner in verdict.finalists
    assert verdict.finalists[0].behind is None


@given(tables())
def test_a_verdict_on_negated_values_is_the_same_if_they_are_minimized(values):
    """Negated and minimized, the same finalists are chosen, tie and win, as far behind and as optimistic as before."""
    candidates = spread(len(values))
    negated = [replace(candidate, value=-candidate.value) for candidate in candidates]
    plain = judge(candidates, values, seed=0)
    other = judge(negated, [[-value for value in row] for row in values], seed=0, direction=Direction.MINIMIZE)
    assert (other.tied, other.optimism, other.summary) == (plain.tied, plain.optimism, plain.summary)
    assert other.winner.number == plain.winner.number
    for mine, theirs in zip(other.finalists, plain.finalists, strict=True):
        assert (mine.number, mine.behind, mine.probability_best) == (
            theirs.number, theirs.behind, theirs.probability_best,
        )  # fmt: skip
        assert (mine.value, mine.values) == (-theirs.value, tuple(-value for value in theirs.values))
        assert (mine.confirmed.mean, mine.confirmed.low) == (-theirs.confirmed.mean, -theirs.confirmed.high)
    bounds = Space.of({"eta": LogUniform(1e-3, 1.0), "lambda": LogUniform(1e-7, 0.1)})
    chosen = choose_finalists(negated, 3, 0.05, bounds, Direction.MINIMIZE)
    assert [c.number for c in chosen] == [c.number for c in choose_finalists(candidates, 3, 0.05, bounds)]


@given(tables(), st.lists(st.floats(-0.2, 0.2), min_size=6, max_size=6), st.randoms())
def test_only_differences_on_the_same_seed_count(values, shifts, random):
    """A seed's effect on all finalists and the order of the finalists do not change their differences."""
    shifted = [[value + shift for value, shift in zip(row, shifts, strict=False)] for row in values]
    places = list(range(len(values)))
    random.shuffle(places)
    candidates = spread(len(values))
    plain = judge(candidates, values, seed=0)
    other = judge([candidates[p] for p in places], [shifted[p] for p in places], seed=0)
    found, expected = ({f.number: f for f in v.finalists} for v in (other, plain))
    for number, finalist in found.items():
        assert finalist.probability_best == pytest.approx(expected[number].probability_best, abs=0.02)
    means = [np.mean(row) for row in values]
    if len(means) == 1 or np.diff(sorted(means))[-1] > 1e-9:  # otherwise the leader is arbitrary
        assert other.finalists[0].point == plain.finalists[0].point
        for number, finalist in found.items():
            if finalist.behind:
                assert finalist.behind.mean == pytest.approx(expected[number].behind.mean, abs=1e-9)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = write_campaign(tmp_path_factory.mktemp("undisturbed"), **CONFIRMED)
    return run(Campaign.load(folder / "small.toml"), folder / "studies.db"), table(folder / "studies.db")


def test_finalists_are_trained_again_on_the_same_new_seeds(undisturbed):
    """Each finalist trains on the same new seeds, none of them from the search, and one finalist wins."""
    status, rows = undisturbed
    confirming = {number: row for (study, number), row in rows.items() if study == "small/confirm"}
    assert len(confirming) == 12
    seeds = [confirming[number][4]["seed"] for number in range(12)]
    assert [len(set(seeds[at : at + 3])) for at in (0, 3, 6, 9)] == [1] * 4
    assert len(set(seeds)) == 4
    assert not set(seeds) & {row[4]["seed"] for (study, _), row in rows.items() if study != "small/confirm"}
    points = [tuple(confirming[number][1].values()) for number in range(12)]
    assert points == points[:3] * 4
    assert len(status.verdict.finalists) == 3
    assert status.winner.confirmed == status.verdict.winner.confirmed
    assert status.winner.number == status.verdict.winner.number
    assert status.final.reproduction.exact
    searched = [row for (study, _), row in rows.items() if study != "small/confirm"]
    assert status.winner.chosen_from == sum(row[0].name == "COMPLETE" for row in searched)


def test_seed_draws_its_own_mini_batches(undisturbed):
    """A seed also determines the order of the images, not only the initial weights."""
    _, rows = undisturbed
    losses = {tuple(row[4]["train_loss"]) for (study, _), row in rows.items() if study == "small/confirm"}
    assert len(losses) == 12


def test_number_of_workers_changes_no_verdict(tmp_path, undisturbed):
    """Three workers reach the same verdict as one, bit for bit."""
    folder = write_campaign(tmp_path, **CONFIRMED)
    answer = coarsefine("run", "small.toml", "--workers", 3, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(folder / "studies.db") == undisturbed[1]
    assert undisturbed[0].verdict.summary in " ".join(answer.stdout.split())


def test_killed_confirmation_resumes(tmp_path, undisturbed):
    """A run that is killed while finalists train resumes to the same table and verdict."""
    folder = write_campaign(tmp_path, **CONFIRMED)
    query = (
        "SELECT count(*) FROM trials JOIN studies USING (study_id) "
        "WHERE study_name = 'small/confirm' AND state = 'COMPLETE'"
    )
    process = start(folder)
    assert signal_once(process, signal.SIGKILL, lambda: counted_if_made(folder, query) > 0)
    process.communicate()
    finish(folder)
    assert table(folder / "studies.db") == undisturbed[1]


def counted_if_made(folder, query):
    made = counted(folder, "SELECT count(*) FROM sqlite_master WHERE name = 'trials'")
    return counted(folder, query) if made else 0


def test_stage_of_the_same_name_is_refused(tmp_path):
    """A stage named 'confirm' is refused together with [confirm]: both would be the same study."""
    folder = write_campaign(tmp_path, **CONFIRMED, stage={"fine": {"name": "confirm"}})
    with pytest.raises(CampaignError, match="a stage is named 'confirm'"):
        Campaign.load(folder / "small.toml")


def test_nothing_to_confirm(tmp_path):
    """If every trial of the search diverged, the run ends with an error that says so."""
    folder = write_campaign(tmp_path, **CONFIRMED, stage={"coarse": {"eta": [1e30, 1e31]}, "fine": None})
    with pytest.raises(NothingCompleted, match="there is nothing to confirm"):
        run(Campaign.load(folder / "small.toml"), folder / "studies.db")


def test_note_of_the_confirming_study_names_the_finalists(tmp_path):
    """The note for the dashboard names each finalist, its trial, and the trials that train it again."""
    folder = write_campaign(tmp_path, confirm={"top": 2, "seeds": 2})
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    study = optuna.load_study(study_name="small/confirm", storage=f"sqlite:///{folder / 'studies.db'}")
    note = study._storage.get_study_system_attrs(study._study_id)["dashboard:note_str:0"]
    for place, finalist in enumerate(study.user_attrs["finalists"]):
        line = f"trial {finalist['number']} of {finalist['study']}, trained again in trials {place}, {place + 2}"
        assert f"**Finalist {place + 1}:**" in note
        assert line in note


def test_bootstrap_of_many_values_takes_little_memory(monkeypatch):
    """The bootstrap of 30 finalists on 300 seeds takes less than 200 MB, and is the same in parts and at once."""
    table = np.random.default_rng(1).normal(size=(30, 300))
    tracemalloc.start()
    try:
        found = winner._probabilities(table, 7)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    small = table[:4, :9]
    expected = winner._probabilities(small, 7)
    monkeypatch.setattr(winner, "_DRAWN_AT_ONCE", 7 * small.size + 5)
    assert winner._probabilities(small, 7) == expected
    assert sum(found) == pytest.approx(1)
