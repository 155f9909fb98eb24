import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import distribution_to_json, json_to_distribution

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.dimension import Choice, Grid, Integer, LogUniform, Stepped, Uniform, around
from coarsefine.search.campaign.narrowing import describe, narrow
from coarsefine.search.campaign.presets import preset_names
from coarsefine.search.campaign.sampling import draw
from coarsefine.search.campaign.sections import Narrow
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.storage.study_writer import distribution_of

bounds = Space.of({"eta": LogUniform(1e-3, 0.3), "lambda": LogUniform(1e-7, 0.1)})
shares = st.floats(0, 1)
rules = st.builds(Narrow, top=st.integers(1, 20), margin=st.floats(0, 2), least=st.floats(0.01, 3), widen=st.booleans())
log_uniform = st.builds(lambda low, ratio: LogUniform(low, low * ratio), st.floats(1e-9, 1e3), st.floats(1.1, 1e6))
uniform = st.builds(lambda low, width: Uniform(low, low + width), st.floats(-100, 100), st.floats(0.01, 100))
integer = st.builds(lambda low, n, step: Integer(low, low + n * step, step), *(3 * [st.integers(1, 300)]))
log_integer = st.builds(lambda low, n: Integer(low, low + n, log=True), st.integers(1, 500), st.integers(1, 500))
stepped = st.builds(
    lambda low, n, step: Stepped(low / 10, round(low / 10 + n * step / 20, 9), step / 20),
    st.integers(-50, 50),
    *(2 * [st.integers(1, 300)]),
)
choice = st.lists(st.integers(0, 9) | st.text(max_size=3), min_size=1, max_size=6, unique=True).map(
    lambda options: Choice(tuple(options))
)
dimensions = log_uniform | uniform | integer | log_integer | stepped | choice
spaces = st.dictionaries(st.sampled_from(["eta", "lambda", "rho", "hidden", "kernel"]), dimensions, min_size=1).map(
    Space.of
)


@st.composite
def spaces_with_winners(draw_one):
    """Draw a space, and the points of some winners in it."""
    space = draw_one(spaces)
    cube = st.lists(shares, min_size=len(space), max_size=len(space))
    return space, [space.point(place) for place in draw_one(st.lists(cube, min_size=1, max_size=12))]


@given(dimensions, shares)
def test_every_share_maps_into_its_dimension(dimension, share):
    """Mapping a share into a dimension never leaves it, rounding included."""
    assert dimension.contains(dimension.at(share))


@given(spaces_with_winners(), spaces_with_winners())
def test_points_outside_a_space_are_found_together(one, other):
    """Of many points, those that a space does not contain are found by their places."""
    space, points = one[0], [*one[1], *other[1]]
    expected = {place for place, point in enumerate(points) if not space.contains(point)}
    assert space.outside([point.as_dict() for point in points]) == expected


@given(dimensions)
def test_bounds_are_reached(dimension):
    """The first and the last share map to the bounds of a range, or to the first and the last option."""
    ends = dimension.options if isinstance(dimension, Choice) else (dimension.low, dimension.high)
    assert dimension.at(0.0) == pytest.approx(ends[0])
    assert dimension.at(1.0) == pytest.approx(ends[-1])


@given(dimensions, shares)
def test_optuna_distribution_keeps_every_value(dimension, share):
    """A dimension's Optuna distribution, written and read again, returns each value with its own type."""
    distribution = json_to_distribution(distribution_to_json(distribution_of(dimension)))
    value = dimension.at(share)
    again = distribution.to_external_repr(distribution.to_internal_repr(value))
    assert (again, type(again)) == (value, type(value))
    assert distribution._contains(distribution.to_internal_repr(value))


@given(spaces)
def test_space_reads_what_it_wrote(space):
    """A space that is written as JSON and read again is the same, in the same order."""
    again = Space.from_dict(space.as_dict())
    assert again == space
    assert list(again) == list(space)


def test_point_is_an_immutable_mapping():
    """A point is read by name, compared and hashed by its values, and unchanged by pickling."""
    point = Point.of({"lambda": 1e-3, "eta": 0.1})
    assert point["lambda"] == 1e-3
    assert list(point) == ["lambda", "eta"]
    assert {point: 1}[Point.of({"eta": 0.1, "lambda": 1e-3})] == 1
    assert point != Point.of({"eta": 0.1})
    assert pickle.loads(pickle.dumps(point)).as_dict() == {"lambda": 1e-3, "eta": 0.1}  # noqa: S301 - our own
    with pytest.raises(TypeError):
        point["eta"] = 1.0
    with pytest.raises(AttributeError):
        point.pairs = ()


@pytest.mark.parametrize("sampler", ["random", "sobol"])
@pytest.mark.parametrize("n", [1, 2, 50, 100])
def test_more_draws_start_with_the_same_points(sampler, n):
    """The first k of n draws are the same for every n, and differ for another seed."""
    space = Space.of({**bounds, "rho": Uniform(0.5, 0.99), "hidden": Integer(25, 200, 25)})
    long = draw(space, sampler, 128, np.random.SeedSequence(5))
    assert draw(space, sampler, n, np.random.SeedSequence(5)) == long[:n]
    assert draw(space, sampler, n, np.random.SeedSequence(6)) != long[:n]


def test_presets_draw_the_same_points_as_ever():
    """A preset's points are low·(high/low)^u to the bit, with u from NumPy's generator, two numbers a point."""
    for campaign in map(Campaign.load, preset_names()):
        for index, stage in enumerate(campaign.stage):
            eta, lam = campaign.bounds_of(stage).values()
            seed = np.random.SeedSequence(campaign.seed, spawn_key=(index, 0))
            unit = np.random.default_rng(seed).random((stage.trials, 2)).tolist()
            expected = [
                {"eta": eta.low * (eta.high / eta.low) ** u, "lambda": lam.low * (lam.high / lam.low) ** v}
                for u, v in unit
            ]
            assert [
                point.as_dict() for point in draw(campaign.bounds_of(stage), "random", stage.trials, seed)
            ] == expected


@pytest.mark.parametrize(
    ("dimension", "below"),
    [
        (LogUniform(1e-7, 0.1), 1e-4),
        (Uniform(0.5, 0.9), 0.7),
        (Integer(1, 8), 4.5),
        (Integer(25, 200, 25), 112.5),
        (Stepped(0.0, 0.7, 0.1), 0.35),
        (Integer(1, 1000, log=True), math.sqrt(0.5 * 1000.5)),
        (Choice((25, 50, 100, 200)), 75),
    ],
)
def test_random_draws_are_uniform_in_their_space(dimension, below):
    """Each half of a dimension, in log space for a log-uniform one, gets about half of the draws."""
    drawn = draw(Space.of({"x": dimension}), "random", 4000, np.random.SeedSequence(0))
    assert abs(np.mean([p["x"] < below for p in drawn]) - 0.5) < 4 * 0.5 / math.sqrt(4000)


def test_every_integer_is_equally_likely():
    """Each of 8 integers, the bounds included, gets about an eighth of the draws."""
    drawn = draw(Space.of({"x": Integer(25, 200, 25)}), "random", 8000, np.random.SeedSequence(0))
    counts = np.bincount([p["x"] // 25 for p in drawn], minlength=9)[1:]
    assert abs(counts - 1000).max() < 4 * math.sqrt(8000 / 8 * 7 / 8)


def test_every_step_is_equally_likely():
    """Real numbers with steps are those that people write, each drawn equally often."""
    drawn = [p["x"] for p in draw(Space.of({"x": Stepped(0.0, 0.7, 0.1)}), "random", 8000, np.random.SeedSequence(0))]
    assert sorted(set(drawn)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    counts = np.array([drawn.count(value) for value in set(drawn)])
    assert abs(counts - 1000).max() < 4 * math.sqrt(8000 / 8 * 7 / 8)


def test_sobol_fills_the_square_more_evenly_than_chance():
    """Of 64 scrambled Sobol points each of 8 × 8 boxes holds exactly one."""
    drawn = draw(bounds, "sobol", 64, np.random.SeedSequence(1))
    boxes = {
        tuple(int(8 * math.log(p[name] / of.low) / math.log(of.high / of.low)) for name, of in bounds.items())
        for p in drawn
    }
    assert len(boxes) == 64


@given(spaces_with_winners(), rules)
def test_narrowed_space_holds_the_winners_and_keeps_the_bounds(space_and_winners, rule):
    """The next space contains the winners, has the least width and, unless widened, stays within the bounds."""
    space, winners = space_and_winners
    narrowed = narrow(winners, rule, space)
    assert list(narrowed.space) == list(space)
    for name, found in narrowed.space.items():
        bound, values = space[name], [winner[name] for winner in winners]
        assert type(found) is type(bound)
        if isinstance(bound, Choice):
            assert found.options == tuple(option for option in bound.options if option in values)
            continue
        slack = 0 if isinstance(bound, Grid) else 1e-9 * max(abs(found.low), abs(found.high))
        assert found.low - slack <= min(values)
        assert max(values) <= found.high + slack
        if isinstance(bound, Grid):
            assert all(found.contains(value) for value in values)
            steps = (found.low - bound.low) / bound.step
            assert steps == pytest.approx(round(steps))
        else:
            assert found.low < found.high
            assert found.width >= min(bound.least_width(rule.least), bound.width) * (1 - 1e-6) - 1e-9
        if not rule.widen:
            assert bound.low <= found.low
            assert found.high <= bound.high


@given(spaces_with_winners(), rules)
def test_bounded_setting_keeps_its_bounds(space_and_winners, rule):
    """A setting with natural bounds keeps them, even if the rule may widen."""
    space, winners = space_and_winners
    for name, found in narrow(winners, rule, space, never_widened=set(space)).space.items():
        if not isinstance(found, Choice):
            assert space[name].low <= found.low
            assert found.high <= space[name].high


def test_narrowing_follows_its_closed_form():
    """Two winners a decade apart, with a margin of a quarter, give one and a half decades around them."""
    winners = [Point.of({"eta": 0.01, "lambda": 1e-4}), Point.of({"eta": 0.1, "lambda": 1e-3})]
    found = narrow(winners, Narrow(top=2, margin=0.25, least=0.3, widen=False), bounds)
    assert found.space["eta"].low == pytest.approx(0.01 / 10**0.25)
    assert found.space["eta"].high == pytest.approx(0.1 * 10**0.25)
    assert found.space["lambda"].width == pytest.approx(1.5)
    assert found.pressed == ()


def test_linear_narrowing_follows_its_closed_form():
    """A linear range is narrowed on its own scale, integers by their cells; the least width is a share of it."""
    hidden, drop = Integer(25, 200, 25), Stepped(0.0, 0.7, 0.1)
    space = Space.of({"rho": Uniform(0.5, 0.9), "hidden": hidden, "kernel": Choice(("a", "b", "c")), "drop": drop})
    values = ((0.6, 75, "c", 0.2), (0.8, 125, "a", 0.4))
    winners = [Point.of({"rho": rho, "hidden": m, "kernel": k, "drop": d}) for rho, m, k, d in values]
    found = narrow(winners, Narrow(top=2, margin=0.25, least=0.3, widen=False), space).space
    assert (found["rho"].low, found["rho"].high) == pytest.approx((0.55, 0.85))
    assert found["hidden"] == Integer(50, 150, 25)  # cells 62.5 to 137.5, and 18.75 on both sides
    assert found["kernel"] == Choice(("a", "c"))
    assert found["drop"] == Stepped(0.1, 0.5, 0.1)  # cells 0.15 to 0.45, and 0.075 on both sides
    alone = narrow(winners[:1], Narrow(top=1, margin=0.25, least=0.5, widen=False), space).space
    assert alone["rho"].width == pytest.approx(0.2)
    assert alone["hidden"] == Integer(25, 125, 25)  # cells 75 ± 50


def test_single_winner_gets_the_least_width():
    """A single winner gets a range of the least width around it."""
    winner = Point.of({"eta": 0.01, "lambda": 1e-4})
    found = narrow([winner], Narrow(top=1, margin=0.5, least=0.6, widen=False), bounds).space["eta"]
    assert found.width == pytest.approx(0.6)
    assert math.sqrt(found.low * found.high) == pytest.approx(0.01)


def test_pressed_bounds_are_named_and_passed_only_if_allowed():
    """A bound that winners press against is named; the range passes it only if the rule may widen."""
    winners = [Point.of({"eta": 0.29, "lambda": 1e-7}), Point.of({"eta": 0.2, "lambda": 1e-6})]
    kept = narrow(winners, Narrow(top=2, margin=0.25, least=0.3, widen=False), bounds)
    passed = narrow(winners, Narrow(top=2, margin=0.25, least=0.3, widen=True), bounds)
    assert kept.pressed == passed.pressed == ("eta high", "lambda low")
    assert (kept.space["eta"].high, kept.space["lambda"].low) == (0.3, 1e-7)
    assert passed.space["eta"].high > 0.3
    assert passed.space["lambda"].low < 1e-7
    assert kept.space["eta"].width == pytest.approx(passed.space["eta"].width)


def test_integers_at_a_bound_press_against_it():
    """Winners that all have the highest integer press against the bound; those a step below do not."""
    space = Space.of({"hidden": Integer(25, 200, 25)})
    rule = Narrow(top=2, margin=0.25, least=0.1, widen=True)
    at_it = narrow([Point.of({"hidden": 200})] * 2, rule, space)
    below = narrow([Point.of({"hidden": 175})] * 2, rule, space)
    assert (at_it.pressed, at_it.space["hidden"].high) == (("hidden high",), 225)
    assert (below.pressed, below.space["hidden"].high) == ((), 200)


def test_least_space_around_points():
    """The finalists' space spans their points; if stages differ in kind of range, it is a choice of the values."""
    assert around([LogUniform(1, 9), LogUniform(2, 8)], [3.0, 5.0, 4.0]) == LogUniform(3.0, 5.0)
    assert around([Integer(1, 9, log=True)] * 2, [3, 5]) == Integer(3, 5, log=True)
    assert around([Stepped(0.0, 1.0, 0.1)] * 2, [0.3, 0.5]) == Uniform(0.3, 0.5)
    assert around([Integer(25, 100, 25), Choice((30, 40))], [50, 30, 50]) == Choice((50, 30))


def test_rule_is_described_for_the_ranges_it_applies_to():
    """The description gives the least width in decades, as a share or not at all, depending on the ranges."""
    rule = Narrow(top=8, margin=0.25, least=0.3, widen=False)
    assert describe(rule, bounds) == "box of the 8 best, 25% margin, at least 0.3 decades"
    both = Space.of({"eta": LogUniform(1, 2), "rho": Uniform(0, 0.5)})
    assert describe(rule, both).endswith("at least 0.3 decades and 30% of a linear range")
    assert describe(rule, Space.of({"x": Choice((1, 2))})) == "box of the 8 best, 25% margin"
