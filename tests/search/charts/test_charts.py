"""Charts of very many trials and of various spaces."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from coarsefine.search.campaign.dimension import Choice, Integer, LogUniform, Uniform
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.metric import ACCURACY, VALUE, Metric
from coarsefine.search.campaign.space import Space
from coarsefine.search.charts import axes_of, best_so_far, curves, map_of_trials, seconds_in_training, timeline
from coarsefine.search.charts.drawn_trials import MOST_DRAWN, thinned
from coarsefine.search.results.study import Study
from coarsefine.search.storage.study_writer import distribution_of

SPACE = Space.of({"eta": LogUniform(0.01, 1.0), "lambda": LogUniform(1e-6, 1e-2)})


@given(st.integers(0, 3 * MOST_DRAWN), st.randoms())
def test_best_are_always_drawn(n, random):
    """At most MOST_DRAWN trials are drawn, in order, and the best half of that number is always among them."""
    values = list(range(n))
    random.shuffle(values)
    shown = thinned(list(enumerate(values)), lambda pair: -pair[1])
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


def test_legend_counts_the_drawn_trials():
    """The legend says how many trials are drawn, and the best-so-far line uses all of them."""
    n = 2 * MOST_DRAWN + 1
    study = study_of(n)
    names = [trace.name for trace in map_of_trials([study], None).data]
    assert f"completed ({MOST_DRAWN:,} of {n:,} drawn)" in names
    figure = best_so_far([study])
    assert figure.data[0].name == f"coarse ({MOST_DRAWN:,} of {n:,} drawn)"
    best = max(trial.value for trial in study.trials)
    assert (figure.data[-1].x[-1], figure.data[-1].y[-1]) == (n, best)


def test_best_of_a_campaign_that_minimizes_is_the_lowest():
    """The best line falls to the lowest value, which is drawn last, in the colour of the best; a tick says ≥."""
    n = 2 * MOST_DRAWN + 1
    study, loss = study_of(n), Metric.of_function("loss", Direction.MINIMIZE)
    best = best_so_far([study], loss).data[-1].y
    assert list(best) == sorted(best, reverse=True)
    assert best[-1] == 0
    lowest, highest = (
        next(trace.marker for trace in map_of_trials([study], None, metric=metric).data if trace.meta == "completed")
        for metric in (loss, VALUE)
    )
    assert {number / n for number in range(MOST_DRAWN // 2)} <= set(lowest.color)
    assert (lowest.color[-1], highest.color[-1]) == (0, (n - 1) / n)
    assert (lowest.cmin, highest.cmax) == (0, (n - 1) / n)
    assert [colour for _, colour in lowest.colorscale] == [colour for _, colour in reversed(highest.colorscale)]
    assert [text[0] for text in (lowest.colorbar.ticktext[-1], highest.colorbar.ticktext[0])] == ["≥", "≤"]
    assert lowest.colorbar.title.text == "loss"


def test_few_trials_are_all_drawn():
    """All trials are drawn if there are at most MOST_DRAWN."""
    study = study_of(50)
    figure = map_of_trials([study], None)
    (dots,) = [trace for trace in figure.data if trace.name == "completed"]
    assert len(dots.x) == 50


MIXED = {"eta": LogUniform(0.01, 1.0), "kernel": Choice(("rbf", "poly")), "hidden": Integer(25, 200, 25)}


def map_of_one_trial(space, names=None, *, metric=ACCURACY, **values):
    """Return the map of a stage with one completed trial, that trial's points, and the map's axes."""
    space = Space.of(space)
    point = {name: values.get(name, dimension.at(0.4)) for name, dimension in space.items()}
    trial = create_trial(value=0.9, params=point, distributions={n: distribution_of(d) for n, d in space.items()})
    trial.number = 3
    study = Study(1, "one/coarse", {"stage": "coarse", "space": space.as_dict()}, (trial,))
    figure = map_of_trials([study], None, names, metric)
    (dots,) = [trace for trace in figure.data if trace.name == "completed"]
    return figure, dots, axes_of([study])


def test_map_has_numeric_axes():
    """The axes are the first two numeric parameters or those chosen; hovering shows the others too."""
    figure, dots, names = map_of_one_trial(MIXED)
    assert names == ["eta", "hidden", "kernel"]
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "linear")
    assert (dots.x[0], dots.y[0]) == (MIXED["eta"].at(0.4), 100)
    assert "kernel = rbf, hidden = 100" in dots.customdata[0][3]
    figure, dots, _ = map_of_one_trial(MIXED, ("hidden", "eta"))
    assert (dots.x[0], figure.layout.xaxis.title.text) == (100, "hidden units")


@pytest.mark.parametrize(("high", "ticks"), [(0.1, (8, "~g")), (20.0, (4, None))])
def test_ticks_of_a_log_axis_have_whole_labels(high, ticks):
    """Within two decades ticks are numbers in full; over more, they are so few that all are powers of ten."""
    figure, _, _ = map_of_one_trial({"eta": LogUniform(0.01, high), "hidden": Integer(25, 200, 25)})
    assert (figure.layout.xaxis.nticks, figure.layout.xaxis.tickformat) == ticks


@pytest.mark.parametrize(("seconds", "title", "end"), [(11, "seconds", 11), (300, "minutes", 5), (9000, "hours", 2.5)])
def test_timeline_has_a_unit_for_its_length(seconds, title, end):
    """The axis of a timeline is in seconds, minutes or hours; time in training leaves out pauses."""
    start = datetime(2026, 1, 1)  # noqa: DTZ001 - Optuna's times have no zone
    times = [(0, seconds / 10), (seconds / 20, seconds / 5), (seconds / 2, seconds)]
    trials = [create_trial(value=0.5) for _ in times]
    for trial, (begun, ended) in zip(trials, times, strict=True):
        trial.datetime_start, trial.datetime_complete = (start + timedelta(seconds=at) for at in (begun, ended))
    study = Study(1, "one/coarse", {"stage": "coarse"}, tuple(trials))
    figure = timeline([study], None)
    assert figure.layout.xaxis.title.text == f"{title} since the first trial started"
    assert max(at for at in figure.data[0].x if at is not None) == pytest.approx(end)
    assert seconds_in_training([study]) == pytest.approx(0.7 * seconds)


def test_box_of_one_integer_has_a_width():
    """The box of a stage with a single integer spans half a step on each side of it."""
    figure, _, _ = map_of_one_trial({"eta": LogUniform(0.01, 1.0), "hidden": Integer(100, 100, 25)})
    (box,) = [trace for trace in figure.data if trace.name == "ranges of coarse"]
    assert (min(box.y), max(box.y)) == (87.5, 112.5)


def test_map_of_few_parameters_shows_accuracy():
    """With one numeric parameter the map shows accuracy over it; with none, accuracy over trial numbers."""
    figure, dots, names = map_of_one_trial({"eta": LogUniform(0.01, 1.0)})
    assert names == ["eta", "value"]
    assert (dots.y[0], figure.layout.yaxis.title.text) == (0.9, "validation accuracy")
    _, dots, names = map_of_one_trial({"kernel": Choice(("rbf", "poly"))})
    assert names == ["number", "value", "kernel"]
    assert (dots.x[0], dots.y[0]) == (3, 0.9)
    _, _, names = map_of_one_trial({"eta": LogUniform(0.01, 1.0), "batch": Choice((20, 500))})
    assert names == ["eta", "batch"]


def test_map_of_a_function_shows_values():
    """The map of a user's function calls its values so, and shows them without a percent sign."""
    figure, dots, _ = map_of_one_trial({"C": LogUniform(0.01, 1.0)}, metric=VALUE)
    assert (figure.layout.yaxis.title.text, figure.layout.yaxis.tickformat) == ("value", None)
    assert dots.marker.colorbar.title.text == "value"
    assert dots.marker.colorbar.ticktext[-1] == dots.customdata[0][2] == "0.9"


@pytest.mark.parametrize(("options", "kind"), [((32, 16), "linear"), ((500, 20, 0.5), "log")])
def test_choice_of_numbers_has_ticks_at_its_options(options, kind):
    """The axis of a choice of numbers has a tick at each option, and at no number between them."""
    figure, _, _ = map_of_one_trial({"C": LogUniform(0.01, 1.0), "size": Choice(options)}, metric=VALUE)
    axis = figure.layout.yaxis
    assert (axis.type, axis.tickvals) == (kind, tuple(sorted(options)))
    assert axis.ticktext == tuple(map(str, sorted(options)))


def test_parameters_of_a_function_have_their_own_names():
    """A function's parameters that are called like settings of the built-in network keep their names on the map."""
    names = {"decay": Uniform(0.1, 1.0), "batch": Choice((16, 32)), "eta": LogUniform(0.01, 1.0)}
    figure, dots, axes = map_of_one_trial(names, metric=VALUE)
    assert [figure.layout[axis].title.text for axis in ("xaxis", "yaxis")] == axes[:2] == ["decay", "batch"]
    assert [part.split(" = ")[0] for part in dots.customdata[0][3].split(", ")] == list(names)


def test_options_of_a_choice_have_places():
    """A choice among words can be an axis: its options are one apart, and a stage's box surrounds its options."""
    figure, dots, _ = map_of_one_trial(MIXED, ("kernel", "eta"), kernel="poly")
    axis = figure.layout.xaxis
    assert (axis.title.text, axis.tickvals, axis.ticktext) == ("kernel", (0, 1), ("rbf", "poly"))
    assert abs(dots.x[0] - 1) <= 0.25
    (box,) = [trace for trace in figure.data if trace.name == "ranges of coarse"]
    assert (min(box.x), max(box.x)) == (-0.5, 1.5)


def test_curve_of_one_epoch_is_a_point():
    """A trial with a single epoch is drawn as a point, since a line needs two."""
    figure = curves({"one": [0.5], "two": [0.5, 0.6]}, "value")
    assert [trace.mode for trace in figure.data] == ["markers", "lines"]


def test_parameter_names_are_escaped():
    """Markup in the name or value of a parameter is escaped in axes and hover texts."""
    name = "<b>eta</b>"
    figure, dots, _ = map_of_one_trial({name: LogUniform(0.01, 1.0), "x": Choice(("<i>",))}, (name, "x"))
    assert figure.layout.yaxis.ticktext == ("&lt;i&gt;",)
    assert figure.layout.xaxis.title.text == "&lt;b&gt;eta&lt;/b&gt;"
    assert "<" not in dots.customdata[0][3]
