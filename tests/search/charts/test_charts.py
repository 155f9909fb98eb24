"""Figures of very many trials: what is drawn of them, and what is said of the rest."""

from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from coarsefine.search.campaign.dimension import Choice, Integer, LogUniform
from coarsefine.search.campaign.space import Space
from coarsefine.search.charts import axes_of, best_so_far, map_of_trials
from coarsefine.search.charts.drawn_trials import MOST_DRAWN, thinned
from coarsefine.search.results.study import Study
from coarsefine.search.storage.parameters import distribution_of

SPACE = Space.of({"eta": LogUniform(0.01, 1.0), "lambda": LogUniform(1e-6, 1e-2)})


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


MIXED = {"eta": LogUniform(0.01, 1.0), "kernel": Choice(("rbf", "poly")), "hidden": Integer(25, 200, 25)}


def drawn(space, names=None, **values):
    """Return the map of a stage of one completed trial in a space."""
    space = Space.of(space)
    point = {name: values.get(name, dimension.at(0.4)) for name, dimension in space.items()}
    trial = create_trial(value=0.9, params=point, distributions={n: distribution_of(d) for n, d in space.items()})
    trial.number = 3
    study = Study(1, "one/coarse", {"stage": "coarse", "space": space.as_dict()}, (trial,))
    figure = map_of_trials([study], None, names)
    (dots,) = [trace for trace in figure.data if trace.name == "completed"]
    return figure, dots, axes_of([study])


def test_map_shows_the_settings_that_have_an_axis():
    """The first two settings that are numbers are shown, others if asked for; words are no axis, but are told."""
    figure, dots, names = drawn(MIXED)
    assert names == ["eta", "hidden"]
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "linear")
    assert (dots.x[0], dots.y[0]) == (MIXED["eta"].at(0.4), 100)
    assert "kernel = rbf, hidden = 100" in dots.customdata[0][3]
    figure, dots, _ = drawn(MIXED, ("hidden", "eta"))
    assert (dots.x[0], figure.layout.xaxis.title.text) == (100, "hidden units")


def test_box_of_whole_numbers_goes_around_their_cells():
    """A stage that is left with one whole number still has a box."""
    figure, _, _ = drawn({"eta": LogUniform(0.01, 1.0), "hidden": Integer(100, 100, 25)})
    (box,) = [trace for trace in figure.data if trace.name == "ranges of coarse"]
    assert (min(box.y), max(box.y)) == (87.5, 112.5)


def test_accuracy_is_shown_where_settings_are_too_few():
    """With one setting the map shows accuracy above it, with words alone accuracy above the trials' numbers."""
    figure, dots, names = drawn({"eta": LogUniform(0.01, 1.0)})
    assert names == ["eta", "value"]
    assert (dots.y[0], figure.layout.yaxis.title.text) == (0.9, "validation accuracy")
    _, dots, names = drawn({"kernel": Choice(("rbf", "poly"))})
    assert names == ["number", "value"]
    assert (dots.x[0], dots.y[0]) == (3, 0.9)
    _, _, names = drawn({"eta": LogUniform(0.01, 1.0), "batch": Choice((20, 500))})
    assert names == ["eta", "batch"]


def test_names_of_settings_are_text():
    """What a storage says that was searched is never markup, neither at an axis nor at a point."""
    name = "<b>eta</b>"
    figure, dots, _ = drawn({name: LogUniform(0.01, 1.0), "x": Choice(("<i>",))})
    assert figure.layout.xaxis.title.text == "&lt;b&gt;eta&lt;/b&gt;"
    assert "<" not in dots.customdata[0][3]
