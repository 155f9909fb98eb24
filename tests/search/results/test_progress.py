"""Test how often the progress of a stage is reported."""

from coarsefine.search.results.progress import paced


def test_slow_reports_come_less_often():
    """Quick reports come as often as they are asked for; slow ones take a tenth of the time at most."""
    now, took, reports = 0.0, 0.001, []

    def report():
        nonlocal now
        reports.append(now)
        now += took

    ask = paced(report, lambda: now)
    for _ in range(3):
        ask()
    assert len(reports) == 3
    took = 1.0
    reports.clear()
    for _ in range(100):
        ask()
        now += 0.25
    assert 2 <= len(reports) <= 3
