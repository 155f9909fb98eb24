"""The output of a run: a live view in a pseudo-terminal, plain lines in a pipe, and its verbosity."""

import json
import re

import psutil
import pytest
from campaigns import DIVERGING, write_campaign
from commands import coarsefine, coarsefine_process
from processes import start, suspended, wait_until
from stored import counted, epochs_recorded, table
from terminals import COLOUR, Terminal

from coarsefine import Campaign, Interrupted, run
from coarsefine.search.campaign.labels import listed
from coarsefine.search.terminal.console import duration

ONE_BY_ONE = {"coarse": {"stack": 1}, "fine": {"stack": 1}}
LONG = {"model": {"hidden": 800, "epochs": 14, "batch": 10}, "stage": ONE_BY_ONE}
HEADER = re.compile(r"^ small  (waiting for workers|\d+ workers?|\d+:\d\d since)")


@pytest.fixture
def folder(tmp_path):
    """Write a campaign whose trials take some seconds; return its folder."""
    return write_campaign(tmp_path, **LONG)


@pytest.fixture
def endless(tmp_path):
    """Write a campaign whose last stage goes on until the test interrupts it; return its folder."""
    stages = {**ONE_BY_ONE, "fine": {"stack": 1, "trials": 5000}}
    return write_campaign(tmp_path, **{**LONG, "stage": stages})


@pytest.fixture
def in_terminal():
    """Return a function that starts a command in a terminal; running commands are killed after the test."""
    terminals = []

    def start(*arguments, **options):
        terminals.append(Terminal(*arguments, **options))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def views_of(terminal):
    """Watch a run to its end, check that its views fit the terminal, and return them.

    A view is complete when the cursor is behind its last line, which ends in the words below.
    """
    views = []
    for lines in terminal.frames():
        assert all(len(line) <= terminal.columns for line in lines), terminal.text
        if terminal.line_of_cursor.rstrip().endswith("the same command resumes."):
            assert sum(bool(HEADER.match(line)) for line in lines) == 1, terminal.text
            views.append(lines)
    return views


def row(lines, name):
    """Return the line of a stage, or an empty string if the stage is not shown."""
    return next((line for line in lines if re.match(rf" [✓▶·] {name}  ", line)), "")


@pytest.mark.parametrize(("columns", "workers"), [(80, 2), (200, 1)])
def test_live_view_shows_every_stage(folder, in_terminal, columns, workers):
    """The view shows stages, best trial, rate, running and finished trials, and the final training.

    At the end the view is erased, and the result is on stdout.
    """
    longer = {**LONG["stage"], "fine": {"stack": 2, "trials": 16}}
    write_campaign(folder, **{**LONG, "stage": longer}, final={"epochs": 100})
    terminal = in_terminal(folder, "run", "small.toml", "--workers", workers, "--json", columns=columns)
    views = views_of(terminal)
    code, stdout = terminal.finish()
    assert (code, json.loads(stdout)["state"]) == (0, "done")
    during_fine = next(view for view in views if re.match(r" ▶ fine +([1-9]|1[0-5])/16 ", row(view, "fine")))
    assert re.search(r"✓ coarse +9/9 .*\d\d\.\d\d %  0\.\d+ +\d\.\d\de-0\d.* \d+:\d\d$", row(during_fine, "coarse"))
    assert re.search(r" \d+:\d\d left$", row(during_fine, "fine"))
    assert row(during_fine, "final training").split()[:4] == ["·", "final", "training", "0/100"]
    for line in (
        r" small  \d workers? · \d+:\d\d since the start · about \d+:\d\d to the final training",
        r" best  \d\d\.\d\d %  η \S+ +λ \S+ +trial \d+ of (coarse|fine)",
        r" now   (no trial|\d trials?) in training(, on average \d+\.\d of 14 epochs(, the best at \d\d\.\d\d %)?)?",
        r" rate  [\d,.]+ trials/min, [\d,]+ epochs/min",
        r" last  fine +\d+  η .*",
        r" In the browser: coarsefine serve   Ctrl-C stops; the same command resumes\.",
    ):
        assert any(re.fullmatch(line, shown) for shown in during_fine), "\n".join([line, *during_fine])
    assert ("η 0.01 to 1, λ 1e-06 to 0.01" in row(during_fine, "coarse")) == (columns == 200)
    assert any(
        re.search(r"▶ final training +[1-9]\d*/100 .*\d\d\.\d\d %", row(view, "final training")) for view in views
    )
    assert terminal.text == ""
    assert not terminal.screen.cursor.hidden
    assert COLOUR.search(terminal.raw.decode())


def test_no_color_and_small_terminal(folder, in_terminal):
    """NO_COLOR is respected and bars stay readable; with few rows, the view keeps the current stage."""
    terminal = in_terminal(folder, "run", "small.toml", "--workers", 1, rows=7, NO_COLOR="1")
    views = views_of(terminal)
    code, stdout = terminal.finish()
    assert (code, terminal.text) == (0, "")
    assert "Winner: trial" in stdout
    assert not COLOUR.search(terminal.raw.decode())
    assert all(any("▶" in line for line in view) for view in views)
    assert any(re.search("━+╸?─+", row(view, "coarse")) for view in views)


def test_view_follows_a_resize(endless, in_terminal):
    """If the terminal changes its width during a run, the view is redrawn completely, and nothing of it remains."""
    terminal = in_terminal(endless, "run", "small.toml", "--workers", 1, columns=200)
    terminal.until("▶ coarse", "ranges")
    terminal.resize(80)
    narrow = terminal.until("▶ fine")
    assert all(len(line) <= 80 for line in narrow), terminal.text
    assert not any("ranges" in line for line in narrow)
    terminal.resize(120)
    while not any(80 < len(line) <= 120 for line in terminal.until("the same command resumes.")):
        pass
    terminal.type(b"\x03")
    assert terminal.finish()[0] == 130
    assert terminal.text.startswith("Interrupted;")


def test_interrupt_leaves_the_terminal_clean(endless, in_terminal):
    """Ctrl-C erases the view, restores the cursor, and prints the command that resumes the run."""
    terminal = in_terminal(endless, "run", "small.toml", "--workers", 2, "--storage", "other.db", columns=100)
    terminal.until("epochs/min", "In the browser: coarsefine serve --storage other.db")
    terminal.type(b"\x03")
    assert terminal.finish() == (130, "")
    assert terminal.raw.rfind(b"\x1b[?25h") > terminal.raw.rfind(b"\x1b[?25l") >= 0
    assert not terminal.screen.cursor.hidden
    assert not re.search(r"[━─▶]|\^C|small  \d", terminal.text)
    text = " ".join(terminal.text.split())
    command = r"\S+ -m coarsefine run small\.toml --workers 2 --storage other\.db"
    assert re.fullmatch(f"Interrupted; every finished trial is kept. To resume: {command}", text)


def test_typing_is_not_echoed_into_the_view(endless, in_terminal):
    """Typed characters are not echoed while the view is shown; afterwards the terminal echoes again."""
    terminal = in_terminal(endless, "run", "small.toml", "--workers", 1)
    assert terminal.echoes
    terminal.until("epochs/min")
    assert not terminal.echoes
    terminal.type(b"ls\n\n\n")
    terminal.until("▶ fine")
    assert sum(bool(HEADER.match(line)) for line in terminal.lines) == 1, terminal.text
    terminal.type(b"\x03")
    assert terminal.finish()[0] == 130
    assert terminal.text.startswith("Interrupted;")
    assert terminal.echoes


def test_error_leaves_the_terminal_clean(tmp_path, in_terminal):
    """A run that fails erases its view and prints one sentence."""
    folder = write_campaign(tmp_path, stage=DIVERGING)
    terminal = in_terminal(folder, "run", "small.toml", "--workers", 1, columns=200)
    assert terminal.finish() == (3, "")
    assert terminal.text.startswith("Stage 'fine' cannot open: no trial of small/coarse completed (9 diverged).")
    assert len(terminal.text.splitlines()) == 1
    assert not terminal.screen.cursor.hidden


@pytest.mark.parametrize("environment", [{"CI": "true"}, {"TERM": "dumb"}])
def test_ci_and_dumb_terminals_get_lines(tmp_path, in_terminal, environment):
    """In CI, and on a terminal that cannot move its cursor, a run prints plain lines."""
    terminal = in_terminal(
        write_campaign(tmp_path), "run", "small.toml", "--workers", 1, rows=60, columns=120, **environment
    )
    assert terminal.finish()[0] == 0
    assert b"\x1b" not in terminal.raw
    assert "fine 6/6  trial 5" in terminal.text


def run_in_pipe(folder, *arguments, **environment):
    """Run the folder's small.toml in a pipe; return stdout and the lines of stderr."""
    call = coarsefine_process if environment else coarsefine  # colours are chosen at import
    result = call("run", "small.toml", *arguments, cwd=folder, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr.splitlines()


ENDED = re.compile(r"(\w+) +(\d+)/(\d+)  trial (\d+) +η (\S+) +λ (\S+)  (\d\d\.\d\d) %")


@pytest.mark.parametrize("workers", [1, 2])
def test_pipe_gets_a_line_for_each_trial(tmp_path, workers):
    """In a pipe, each finished trial is one plain line: trials done, number, parameters and accuracy."""
    folder = write_campaign(tmp_path)
    stdout, lines = run_in_pipe(folder, "--workers", workers, FORCE_COLOR="1")
    assert not any(set(line) & set("\x1b\r━─") for line in lines)
    found = [match for line in lines if (match := ENDED.fullmatch(line))]
    for stage, trials in (("coarse", 9), ("fine", 6)):
        of_stage = [match for match in found if match[1] == stage]
        assert [int(match[2]) for match in of_stage] == list(range(1, trials + 1))
        assert {int(match[3]) for match in of_stage} == {trials}
        assert sorted(int(match[4]) for match in of_stage) == list(range(trials))
    rows = table(folder / "studies.db")
    for match in found:
        state, params, values, *_ = rows[f"small/{match[1]}", int(match[4])]
        assert (state.name, f"{100 * values[0]:.2f}") == ("COMPLETE", match[7])
        assert (f"{params['eta']:.4g}", f"{params['lambda']:.2e}") == (match[5], match[6])
    finals = [line.split("  ")[0] for line in lines if line.startswith("final ")]
    assert finals == [f"final {epoch}/4" for epoch in (1, 2, 3, 4)]
    assert "\x1b[1mWinner\x1b[0m: trial" in stdout, "FORCE_COLOR colours stdout"


def test_long_stage_gets_a_line_for_each_stack(tmp_path):
    """A stage of more than 100 trials prints a line for a stack or several, with their results and the best trial."""
    folder = write_campaign(tmp_path, stage={"coarse": {"trials": 120, "stack": 30}})
    _, lines = run_in_pipe(folder, "--workers", 1)
    of_stage = [line for line in lines if line.startswith("coarse ")]
    ended = [line.split()[1] for line in of_stage]  # on a busy machine, a line may be left out for the next one
    assert ended == [each for each in ("30/120", "60/120", "90/120", "120/120") if each in ended]
    assert ended[-1] == "120/120"
    for line in of_stage:
        pattern = r"(\d+ completed)?(, )?(\d+ failed or diverged)?; best \d\d\.\d\d %, trial \d+, η = \S+, λ = \S+"
        assert re.fullmatch(rf"coarse \d+/120  {pattern}", line)
    assert sum(line.startswith("fine ") for line in lines) == 6


def test_lines_explain_pruned_and_diverged_trials(tmp_path):
    """The line of a pruned trial has its last epoch, and the line of a diverged trial its reason."""
    folder = write_campaign(tmp_path, "halving", model={"batch": 50}, stage={"coarse": {"eta": [0.01, 3e4]}})
    _, lines = run_in_pipe(folder, "--workers", 1)
    assert any(re.search(r"\d+\.\d\d %  pruned after epoch 2$", line) for line in lines)
    assert any(re.search(r"diverged in epoch \d+: training loss \S+$", line) for line in lines)


def test_resumed_run_prints_only_new_trials(tmp_path):
    """A resumed run counts the trials that finished before, but prints no lines for them."""
    folder = write_campaign(tmp_path)
    campaign = Campaign.load(folder / "small.toml")
    checks = iter(range(6))
    with pytest.raises(Interrupted):
        run(campaign, folder / "studies.db", stop=lambda: next(checks, None) is None)
    before = counted(folder, "SELECT count(*) FROM trials WHERE state = 'COMPLETE'")
    assert 0 < before < 9
    _, lines = run_in_pipe(folder, "--workers", 1)
    assert lines[0].startswith(f"coarse: {9 - before} of 9 trials to train")
    counts = [int(match[2]) for line in lines if (match := ENDED.fullmatch(line)) and match[1] == "coarse"]
    assert counts == list(range(before + 1, 10))


def test_quiet_prints_only_errors(tmp_path, in_terminal):
    """With `--quiet`, stderr is empty unless there is an error, which is one sentence even in a terminal."""
    folder = write_campaign(tmp_path)
    stdout, lines = run_in_pipe(folder, "--quiet", "--workers", 2)
    assert lines == []
    assert "Winner: trial" in stdout
    write_campaign(folder, seed=4)
    terminal = in_terminal(folder, "run", "small.toml", "--quiet")
    assert terminal.finish() == (2, "")
    assert ": seed was 3, now 4" in terminal.text
    assert b"\x1b[?25l" not in terminal.raw


@pytest.mark.parametrize("workers", [1, 2])
def test_verbose_prints_claims_and_records(tmp_path, workers):
    """`--verbose` adds the trials that each worker claims, records and finishes."""
    _, lines = run_in_pipe(write_campaign(tmp_path), "--verbose", "--workers", workers)
    name = "" if workers == 1 else r"worker-[12]: "
    assert any(re.fullmatch(name + r"small/coarse: claimed trials \d to \d", line) for line in lines)
    recorded = [re.fullmatch(name + r"small/\w+: recorded (\d+) epochs(; trials? .* ended)?", line) for line in lines]
    assert sum(int(match[1]) for match in recorded if match) == 3 * (9 + 6)
    assert any(match and match[2] for match in recorded)
    assert sum(bool(ENDED.fullmatch(line)) for line in lines) == 15


def test_verbose_prints_resumed_trials(tmp_path):
    """`--verbose` adds the trials that resume after an epoch that another process recorded."""
    folder = write_campaign(tmp_path, model={"epochs": 6}, stage=ONE_BY_ONE)
    checks = iter(range(5))
    with pytest.raises(Interrupted):
        run(Campaign.load(folder / "small.toml"), folder / "studies.db", stop=lambda: next(checks, None) is None)
    _, lines = run_in_pipe(folder, "--verbose", "--workers", 1)
    (message,) = [line for line in lines if "resumes after epoch" in line]
    assert re.fullmatch(r"small/coarse: trial 0 resumes after epoch [1-5]", message)


def test_verbose_prints_above_the_view(folder, in_terminal):
    """In a terminal, details scroll above the view and remain when the view is erased."""
    terminal = in_terminal(folder, "run", "small.toml", "--workers", 1, "--verbose", columns=100, rows=60)
    views = views_of(terminal)
    assert terminal.finish()[0] == 0
    assert any(line.startswith("small/coarse: claimed") for view in views for line in view)
    assert "small/fine: claimed" in terminal.text
    assert not re.search("[━─▶]", terminal.text)


def test_worker_shows_the_view_of_its_run(tmp_path, in_terminal):
    """`worker` shows the view of the run that it joins, and leaves the terminal clean."""
    folder = write_campaign(tmp_path, model={"epochs": 5000, "batch": 10}, stage=ONE_BY_ONE)
    process = start(folder)
    wait_until(lambda: epochs_recorded(folder) > 0)
    wait_until(lambda: suspended([psutil.Process(process.pid)], folder / "studies.db"))  # it must not finish first
    helper = in_terminal(folder, "worker", "small")
    helper.until("2 workers", "▶")
    helper.type(b"\x03")
    assert helper.finish() == (130, "")
    assert helper.text.splitlines()[-1].endswith("-m coarsefine worker small")
    process.kill()
    process.communicate()


def test_durations_and_trial_numbers_are_readable():
    """Durations are clock times, and consecutive trial numbers are ranges."""
    assert [duration(seconds) for seconds in (0.4, 41, 3599.7, 3730)] == ["0:00", "0:41", "1:00:00", "1:02:10"]
    assert listed([3]) == "trial 3"
    assert listed([7, 1, 0, 2, 9]) == "trials 0 to 2, 7, 9"
    assert listed([4, 5]) == "trials 4 to 5"
