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
    took = 0.1
    reports.clear()
    for _ in range(100):
        ask()
        now += 0.025
    assert 2 <= len(reports) <= 3


def test_one_long_report_delays_the_next_by_seconds():
    """After a report that took minutes, as while a database restarts, the next one comes after five seconds."""
    now, reports = 0.0, []

    def report():
        nonlocal now
        reports.append(now)
        now += 600.0

    ask = paced(report, lambda: now)
    ask()
    now += 4.0
    ask()
    now += 1.5
    ask()
    assert reports == [0.0, 605.5]
