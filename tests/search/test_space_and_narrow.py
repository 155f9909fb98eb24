import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.narrow import Rule, narrow
from search.space import Point, Range, Space, draw

bounds = Space(Range(1e-3, 0.3), Range(1e-7, 0.1))
shares = st.floats(0, 1)
points = st.lists(st.builds(bounds.point, shares, shares), min_size=1, max_size=20)
rules = st.builds(Rule, top=st.integers(1, 20), margin=st.floats(0, 2), least=st.floats(0.01, 3), widen=st.booleans())


@given(shares, shares)
def test_every_point_of_the_unit_square_lies_in_the_space(a, b):
    """Mapping into a space never leaves it, rounding included."""
    assert bounds.holds(bounds.point(a, b))


@pytest.mark.parametrize("sampler", ["random", "sobol"])
@pytest.mark.parametrize("n", [1, 2, 50, 100])
def test_draws_are_keyed_by_position(sampler, n):
    """The first k of n draws are the same for every n, and another seed gives others."""
    long = draw(bounds, sampler, 128, np.random.SeedSequence(5))
    assert draw(bounds, sampler, n, np.random.SeedSequence(5)) == long[:n]
    assert draw(bounds, sampler, n, np.random.SeedSequence(6)) != long[:n]


def test_random_draws_are_log_uniform():
    """Each half of a range, in log space, gets about half of the draws."""
    drawn = draw(bounds, "random", 4000, np.random.SeedSequence(0))
    middle = math.sqrt(bounds.lam.low * bounds.lam.high)
    assert abs(np.mean([p.lam < middle for p in drawn]) - 0.5) < 4 * 0.5 / math.sqrt(4000)


def test_sobol_fills_the_square_more_evenly_than_chance():
    """Of 64 scrambled Sobol points each of 8 × 8 boxes holds exactly one."""
    drawn = draw(bounds, "sobol", 64, np.random.SeedSequence(1))
    boxes = {
        (
            int(8 * math.log(p.eta / bounds.eta.low) / math.log(bounds.eta.high / bounds.eta.low)),
            int(8 * math.log(p.lam / bounds.lam.low) / math.log(bounds.lam.high / bounds.lam.low)),
        )
        for p in drawn
    }
    assert len(boxes) == 64


@given(points, rules)
def test_narrowed_space_holds_the_winners_and_keeps_the_bounds(winners, rule):
    """Winners stay within the next space, which has its least width and, unless widened, the bounds."""
    next_space = narrow(winners, rule, bounds).space
    for name, of in (("eta", lambda p: p.eta), ("lam", lambda p: p.lam)):
        found, bound = getattr(next_space, name), getattr(bounds, name)
        assert found.low < found.high
        for winner in winners:
            assert found.low * (1 - 1e-9) <= of(winner) <= found.high * (1 + 1e-9)
        assert found.decades >= min(rule.least, bound.decades) - 1e-9
        if not rule.widen:
            assert bound.low <= found.low
            assert found.high <= bound.high


def test_narrowing_follows_its_closed_form():
    """Two winners a decade apart, with a margin of a quarter, give one and a half decades around them."""
    winners = [Point(0.01, 1e-4), Point(0.1, 1e-3)]
    found = narrow(winners, Rule(2, 0.25, 0.3, widen=False), bounds)
    assert found.space.eta.low == pytest.approx(0.01 / 10**0.25)
    assert found.space.eta.high == pytest.approx(0.1 * 10**0.25)
    assert found.space.lam.decades == pytest.approx(1.5)
    assert found.pressed == ()


def test_single_winner_gets_the_least_width():
    """One winner has no box: the least width is laid around it."""
    found = narrow([Point(0.01, 1e-4)], Rule(1, 0.5, 0.6, widen=False), bounds).space
    assert found.eta.decades == pytest.approx(0.6)
    assert math.sqrt(found.eta.low * found.eta.high) == pytest.approx(0.01)


def test_pressed_bounds_are_told_and_passed_only_if_allowed():
    """Where winners press against a bound, it is named; the range stops there, or goes past it if it may."""
    winners = [Point(0.29, 1e-7), Point(0.2, 1e-6)]
    kept = narrow(winners, Rule(2, 0.25, 0.3, widen=False), bounds)
    passed = narrow(winners, Rule(2, 0.25, 0.3, widen=True), bounds)
    assert kept.pressed == passed.pressed == ("eta high", "lambda low")
    assert (kept.space.eta.high, kept.space.lam.low) == (0.3, 1e-7)
    assert passed.space.eta.high > 0.3
    assert passed.space.lam.low < 1e-7
    assert kept.space.eta.decades == pytest.approx(passed.space.eta.decades)
