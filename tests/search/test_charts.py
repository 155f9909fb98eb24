"""Figures of very many trials: what is drawn of them, and what is said of the rest."""

from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from search.charts import best_so_far, map_of_trials
from search.charts.ink import MOST_DRAWN, thinned
from search.space import Range, Space
from search.study import Study

SPACE = Space(Range(0.01, 1.0), Range(1e-6, 1e-2))


@given(st.integers(0, 3 * MOST_DRAWN), st.randoms())
def test_best_are_always_drawn(n, random):
    """Of however many trials a bounded number is drawn, in their order, the best half of that among them."""
    values = list(range(n))
    random.shuffle(values)
    shown = thinned(list(enumerate(values)), lambda pair: pair[1])
    assert len(shown) == min(n, MOST_DRAWN)
    assert shown == sorted(shown)
    assert {value for _, value in shown} >= set(range(n - min(n, MOST_DRAWN // 2), n))


def study_of(n):
    """Return a study of n completed trials."""
    point = {"eta": 0.05, "lambda": 1e-4}
    ranges = {"eta": FloatDistribution(0.01, 1.0, log=True), "lambda": FloatDistribution(1e-6, 1e-2, log=True)}
    trials = [create_trial(value=7 * number % n / n, params=point, distributions=ranges) for number in range(n)]
    for number, trial in enumerate(trials):
        trial.number = number
    attrs = {"stage": "coarse", "space": SPACE.as_dict()}
    return Study(1, "many/coarse", attrs, tuple(trials))


def test_many_trials_are_counted_where_not_all_are_drawn():
    """The legend says how many of the trials are drawn; the best-so-far line still has the best of all."""
    n = 2 * MOST_DRAWN + 1
    study = study_of(n)
    names = [trace.name for trace in map_of_trials([study], None).data]
    assert f"completed ({MOST_DRAWN:,} of {n:,} drawn)" in names
    figure = best_so_far([study])
    assert figure.data[0].name == f"coarse ({MOST_DRAWN:,} of {n:,} drawn)"
    best = max(trial.value for trial in study.trials)
    assert (figure.data[-1].x[-1], figure.data[-1].y[-1]) == (n, best)


def test_few_trials_are_all_drawn():
    """Up to that many trials, every one is drawn, and nothing is said."""
    study = study_of(50)
    figure = map_of_trials([study], None)
    (dots,) = [trace for trace in figure.data if trace.name == "completed"]
    assert len(dots.x) == 50
