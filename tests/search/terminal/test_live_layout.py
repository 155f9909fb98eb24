"""The live view without a terminal: its layout at any size, and its content on either database."""

import io
import itertools
from dataclasses import replace

import pytest
from campaigns import write_campaign
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from rich.console import Console
from rich.text import Text
from stages import open_stage, running
from stored import table

from coarsefine import Campaign, run
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.metric import VALUE
from coarsefine.search.campaign.pruning import Pruning
from coarsefine.search.campaign.space import Point
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.progress import StageProgress, best_of
from coarsefine.search.results.status import StageStatus
from coarsefine.search.results.status_reading import read_status
from coarsefine.search.results.time_left import Rate
from coarsefine.search.storage.slots import FinishedTrial, Record
from coarsefine.search.terminal.live_layout import draw
from coarsefine.search.terminal.live_state import LiveState, Row, idle_row
from coarsefine.search.terminal.live_view import LiveView


def finished_trial(number, value=0.5, state=TrialState.COMPLETE, reason=None):
    """Return a finished trial with a number."""
    return FinishedTrial(number, Point.of({"eta": 0.1234567, "lambda": 1.234567e-5}), state, value, 10, reason)


def live_state(names, trials, seconds, rate, last):
    """Return a state of the live view with stages of the given names."""
    kinds = itertools.chain(["done", "now"], itertools.repeat("next"))
    rows = [
        Row(
            name, mark, trials // 2, trials, 0.5, 100, finished_trial(trials - 1), 0.9876, seconds,
            "η 0.001 to 0.3, λ 1.0e-07 to 1.0e-01", "20 pruned, 1 diverged",
        )
        for name, mark in zip(names, kinds, strict=False)
    ]  # fmt: skip
    ended = tuple((names[0], e) for e in last)
    return LiveState(
        "n" * 64, ("eta", "lambda"), tuple(rows), 0.0, 10.0, ended[0] if ended else None, ended, 1000,
        "20 trials in training", rate, 10.0,
        "coarsefine serve --storage /a/folder/of/a/very/long/name/indeed/with/studies.db",
    )  # fmt: skip


FINISHED = [
    finished_trial(3),
    finished_trial(999_999, 0.1, TrialState.PRUNED),
    finished_trial(7, None, TrialState.FAIL, "d" * 99),
]
STATES = st.builds(
    live_state,
    names=st.lists(st.text("abc .-_", min_size=1, max_size=64), min_size=2, max_size=30),
    trials=st.sampled_from([1, 50, 1_000_000]),
    seconds=st.sampled_from([None, 0.4, 1e6]),
    rate=st.sampled_from([None, 1e-5, 3.0, 1e7]),
    last=st.lists(st.sampled_from(FINISHED), max_size=40),
)


@given(state=STATES, width=st.integers(3, 300), height=st.integers(1, 100), stopping=st.booleans())
def test_view_fits_any_terminal(state, width, height, stopping):
    """In a terminal of any size, no line is too wide, and one row is left for the cursor."""
    lines = draw(state, width, height, 12.0, stopping=stopping)
    assert 1 <= len(lines) <= max(height - 1, 1)
    assert all(line.cell_len <= width for line in lines)
    assert all("\n" not in line.plain for line in lines)
    assert height < 4 or any("▶" in line.plain for line in lines), "the current stage is shown"


def test_five_parameters_fit_a_terminal_of_80_columns():
    """The best trial takes as many lines as its parameters need, and the last trials keep their results."""
    point = {"a": 0.1, "activation": "tanh", "hidden_units": 471, "learning_rate": 5e-4, "weight_decay": 1e-5}
    trial = replace(finished_trial(20), point=Point.of(point))
    state = live_state(["coarse", "fine"], 50, 30.0, 3.0, [trial] * 3)
    state = replace(state, parameters=tuple(point), rows=tuple(replace(row, best=trial) for row in state.rows))
    lines = [line.plain for line in draw(state, 80, 30, 12.0, stopping=False)]
    best = next(place for place, line in enumerate(lines) if line.startswith(" best "))
    shown = " ".join(" ".join(lines[best : best + 2]).split())
    values = "a = 0.1 activation = tanh hidden_units = 471 learning_rate = 0.0005 weight_decay = 1e-05"
    assert shown == f"best 50.00 % {values} trial 20 of coarse"
    assert sum(line.endswith("50.00 %  best so far") for line in lines) == 3


def test_best_is_called_the_winner_once_it_was_chosen():
    """Once the finalists are confirmed, the trial shown is the winner, whatever its value, and is called so."""
    state = live_state(["coarse"], 50, 30.0, 3.0, [finished_trial(3)])
    for is_winner, names in ((False, ["best", "now", "rate"]), (True, ["winner", "now", "rate"])):
        lines = draw(replace(state, best_is_winner=is_winner), 80, 12, 12.0, stopping=False)
        facts = [line.plain.split() for line in lines if line.plain.startswith(tuple(f" {name} " for name in names))]
        assert [words[0] for words in facts] == names
        assert facts[0][1:3] == ["50.00", "%"]


@pytest.mark.parametrize("width", range(40, 90))
def test_blanks_at_the_end_of_a_column_are_cut_without_an_ellipsis(width):
    """A finished trial's parameters end in an ellipsis only if some of their digits are cut."""
    trial = finished_trial(3, None, TrialState.FAIL, "d" * 99)
    trial = replace(trial, point=Point.of({"momentum": 0.5, "units": 12}))
    state = replace(live_state(["coarse"], 50, 30.0, 3.0, [trial]), metric=VALUE, best=None)
    (line,) = [line.plain for line in draw(state, width, 30, 12.0, stopping=False) if line.plain.startswith(" last ")]
    assert ("units 12  " in line) == ("…" not in line.partition("ddd")[0])


def test_wide_terminal_shows_more():
    """At 200 columns the view adds ranges, how trials ended, and columns of finished trials; at 80 it does not."""
    state = live_state(["coarse", "fine"], 50, 30.0, 3.0, [finished_trial(n) for n in range(20)])
    wide, narrow = (
        [line.plain for line in draw(state, width, 24, 12.0, stopping=False)] for width in (200, 80)
    )  # fmt: skip
    for part in ("λ 1.0e-07 to 1.0e-01", "20 pruned, 1 diverged"):
        assert any(part in line for line in wide)
        assert not any(part in line for line in narrow)
    assert max(line.count("50.00 %  ") for line in wide) >= 2 or max(line.count("η 0.1235") for line in wide) >= 2
    assert max(line.count("η 0.1235") for line in narrow) == 1


def test_rate_of_trials_without_epochs_is_given_once():
    """If each trial has one epoch, such as a function's that only returns, the rate is that of trials alone."""
    state = live_state(["coarse"], 50, 30.0, 3.0, [])
    for epochs, rate in ((10.0, "18 trials/min, 180 epochs/min"), (1.0, "180 trials/min")):
        lines = draw(replace(state, epochs_per_trial=epochs), 80, 24, 12.0, stopping=False)
        assert f"rate  {rate}" in [line.plain.strip() for line in lines]


def test_stop_is_announced():
    """While a run finishes its last epoch, the view says so and how to stop at once."""
    lines = draw(live_state(["coarse"], 50, 30.0, 3.0, []), 80, 24, 12.0, stopping=True)
    assert lines[-1].plain.strip() == "Stopping after this epoch; Ctrl-C again stops at once."


def test_time_left_counts_down_between_snapshots():
    """The time left is that of the last snapshot minus the time since; once it is over, none is shown."""
    state = live_state(["coarse", "fine"], 50, 30.0, 3.0, [])
    views = ["\n".join(line.plain for line in draw(state, 80, 24, now, stopping=False)) for now in (10.0, 15.0, 99.0)]
    assert ["0:30 left" in views[0], "0:25 left" in views[1], "left" in views[2]] == [True, True, False]


def test_final_training_of_unknown_length_is_not_left_out():
    """While the final training's time is unknown, that until it is shown; without a completed trial none is best."""
    state = live_state(["coarse", "fine"], 50, 30.0, 3.0, [])
    final = Row("final training", "next", 0, 40, 0.0, None)
    lines = draw(replace(state, campaign="small", rows=(*state.rows, final)), 100, 24, 10.0, stopping=False)
    assert "about 0:30 to the final training" in lines[0].plain
    assert any(line.plain.strip() == "best  no trial has completed yet" for line in lines)


def test_rate_is_measured_over_the_last_minute():
    """A rate is known from the second step, forgets steps older than a minute, and falls without new ones."""
    rate = Rate()
    assert rate.per_second(0) is None
    rate.step(0, 0)
    assert rate.per_second(5) is None
    for second in range(1, 101):
        rate.step(second, 10 * second)
    assert rate.per_second(100) == pytest.approx(10)
    for second in range(101, 201):
        rate.step(second, 1000 + 30 * (second - 100))
    assert rate.per_second(200) == pytest.approx(30)
    assert rate.per_second(201) == pytest.approx(30)
    assert rate.per_second(262) == pytest.approx(15, rel=0.05)


def test_rate_is_never_negative():
    """If a killed worker's epochs are lost, the rate counts only new epochs."""
    rate = Rate()
    for second, count in ((0, 0), (1, 10), (2, 20), (3, 12), (4, 22)):
        rate.step(second, count)
    assert rate.per_second(4) == pytest.approx(30 / 4)


@pytest.mark.parametrize(
    ("pruner", "options", "trials", "epochs"),
    [
        ("none", {}, 50, 500),
        ("halving", {"rungs": [1, 4]}, 50, 50 + 3 * 25 + 6 * 13),
        ("halving", {"rungs": [2], "factor": 4.0}, 1, 10),
    ],
)
def test_planned_epochs_follow_from_the_rungs(pruner, options, trials, epochs):
    """The epochs of a stage follow from its rungs, and each cohort keeps its own share."""
    assert Pruning.of(pruner, options, 10).epochs_of(trials) == epochs


def test_halving_trains_the_planned_epochs(tmp_path):
    """A stage with halving trains exactly the planned epochs."""
    campaign = Campaign.load(write_campaign(tmp_path, "halving") / "small.toml")
    run(campaign, tmp_path / "studies.db")
    rows = table(tmp_path / "studies.db")
    assert not any(state is TrialState.FAIL for state, *_ in rows.values())
    for stage in campaign.stage:
        trained = sum(len(row[3]) for (study, _), row in rows.items() if study == campaign.study_name(stage))
        assert trained == campaign.pruning(stage).epochs_of(stage.trials)


def test_snapshot_covers_all_workers(opened, small):
    """On each database, a snapshot has what all workers did since the last one, what is running, and what is left."""
    one, two = opened(), opened()
    stage = small.stage[0]
    study_id = opened_study(one, small, stage).id
    first = one.queue.claim(study_id, 2)
    one.queue.record([record(first[0], TrialState.COMPLETE, 0.75, 3)], first)
    study = find_studies(two, "small")["small/coarse"]
    following = StageProgress(two, study, small, stage, before=study)
    assert [e.number for e in following.finished] == [0]
    snapshot = following.snapshot()
    assert (snapshot.new, snapshot.trained, snapshot.left) == ((), 3, 24)
    assert (snapshot.progress.ended, snapshot.progress.running, snapshot.progress.workers) == (1, 1, 1)

    second = two.queue.claim(study_id, 4)
    one.queue.record([running(first[1], 1, 2)], first[1:])
    pruned, failed = record(second[1], TrialState.PRUNED, 0.5, 1), record(second[0], TrialState.FAIL, None, 1)
    two.queue.record([pruned], second)
    two.queue.record([failed], [second[0], *second[2:]])
    snapshot = following.snapshot()
    assert [(e.number, e.state.name, e.value, e.epochs, e.diverged) for e in snapshot.new] == [
        (3, "PRUNED", 0.5, 1, False),
        (2, "FAIL", None, 1, True),
    ]
    assert snapshot.new[1].reason == "diverged in epoch 2: training loss 1e+30"
    assert snapshot.new[0].point == second[1].slot.point
    assert (snapshot.progress.running, snapshot.progress.epochs, snapshot.progress.workers) == (3, 2, 2)
    assert snapshot.progress.leading == 0.5
    assert (snapshot.trained, snapshot.left) == (3 + 2 + 1 + 1, 27 - 7 - 2)
    assert following.snapshot().new == ()
    assert best_of(following.finished, Direction.MAXIMIZE).number == 0


def test_best_value_follows_the_direction(opened, small):
    """On each database, the best value in training and the best finished trial are the lowest if that is better."""
    storage = opened()
    study = opened_study(storage, small, small.stage[0])
    claims = storage.queue.claim(study.id, 3)
    steps = [{1: 0.2}, {1: 0.7, 2: 0.4}, {1: 0.5}]
    records = [
        Record(claim, found, found[max(found)], {}, TrialState.RUNNING)
        for claim, found in zip(claims, steps, strict=True)
    ]
    storage.queue.record(records, claims)
    highest, lowest = (storage.queries.progress(study.id, direction).leading for direction in Direction)
    assert (highest, lowest) == (0.7, 0.2)
    finished = [finished_trial(3, 0.4), finished_trial(1, 0.1), finished_trial(0, 0.1)]
    finished += [finished_trial(4, 0.0, TrialState.PRUNED), finished_trial(5, None, TrialState.FAIL, "diverged")]
    assert [best_of(finished, direction).number for direction in Direction] == [3, 0]


def test_finished_trials_include_those_between_stages(opened, small, monkeypatch):
    """Trials of the next stage that finished before the view opened it are listed, the newest first."""
    states = []
    monkeypatch.setattr(
        "coarsefine.search.terminal.live_view.draw", lambda state, *_, **__: states.append(state) or [Text()]
    )
    monkeypatch.setattr("coarsefine.search.terminal.live_view.err", Console(file=io.StringIO(), force_terminal=True))
    storage = opened()
    with LiveView("coarsefine serve", lambda: False, verbose=False) as view:
        for stage in small.stage:
            study = opened_study(storage, small, stage)
            following = StageProgress(storage, study, small, stage)
            finish_next(storage, study, 0.75)
            view.on_stage_opened(read_status(storage, "small"), following)
            finish_next(storage, study, 0.25)
            view.on_progress(following)
    assert [(name, ended.value) for name, ended in states[-1].finished] == [
        ("fine", 0.25),
        ("fine", 0.75),
        ("coarse", 0.25),
        ("coarse", 0.75),
    ]


def opened_study(storage, campaign, stage):
    """Return the study of a stage with nine slots."""
    study_id = open_stage(storage, 9, f"small/{stage.name}")
    space = {"eta": [0.01, 1.0], "lambda": [1e-6, 0.01]}
    attrs = {"config": campaign.as_stored(), "stage": stage.name, "parent": None, "space": space}
    storage.set_study_attrs(study_id, {**attrs, "data": {"digest": "0" * 64, "description": "images"}})
    return find_studies(storage, "small")[f"small/{stage.name}"]


def finish_next(storage, study, value):
    """Claim the next slot and complete its trial with a value."""
    claims = storage.queue.claim(study.id, 1)
    storage.queue.record([record(claims[0], TrialState.COMPLETE, value, 3)], claims)


def record(claim, state, value, epochs):
    """Return the record of a finished trial."""
    reason = {} if state is not TrialState.FAIL else {"reason": "diverged in epoch 2: training loss 1e+30"}
    return Record(claim, dict.fromkeys(range(1, epochs + 1), value or 0.5), value, reason, state)


@pytest.mark.parametrize(("failed", "colour"), [(0, "green"), (4, "yellow"), (5, "red")])
def test_stage_with_failed_trials_is_not_green(small, failed, colour):
    """The mark and the bar of a stage that is done are green, yellow if trials failed, and red if half of them did."""
    stage = StageStatus(
        name="coarse", study="small/coarse", trials=10, completed=10 - failed, pruned=0, diverged=0, failed=failed,
        running=0, waiting=0, space=None, parent=None, best=(), failure=None, attrs={},
    )  # fmt: skip
    row = idle_row(small, small.stage[0], stage, 3.0)
    state = LiveState("small", (), (row,), 0.0, 0.0, None, (), 1, "", None, None, "")
    shown = [text for text in draw(state, 100, 30, 0.0, stopping=False) if "coarse" in text.plain]
    styles = {str(span.style) for text in shown for span in text.spans if text.plain[span.start : span.end].strip()}
    assert colour in styles
    assert not {"green", "yellow", "red"} - {colour} & styles
