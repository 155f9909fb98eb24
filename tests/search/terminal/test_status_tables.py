"""The tables and sentences of `status`, on terminals of several widths and in a pipe."""

import itertools
import re

import pytest
from campaigns import write_campaign
from terminals import Terminal

from coarsefine import Campaign, run
from coarsefine.search.campaign.metric import VALUE
from coarsefine.search.campaign.space import Point
from coarsefine.search.campaign.winner import Candidate, judge
from coarsefine.search.terminal.status_tables import _print_finalists

FIVE = {
    "a": [0.001, 1.0], "learning_rate": [1e-5, 0.1], "weight_decay": [1e-6, 0.01],
    "activation": {"choice": ["[relu]", "tanh"]}, "hidden_units": {"integer": [16, 512]},
}  # fmt: skip
"""Parameters whose table is wider than 80 columns. An option looks like rich's markup."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Search a function of five parameters; return the folder and the status."""
    folder = tmp_path_factory.mktemp("five")
    stages = {"coarse": {"space": FIVE, "trials": 6}, "fine": None}
    write_campaign(folder, "objective", objective="user_functions:at_once", epochs=None, stage=stages)
    return folder, run(Campaign.load(folder / "small.toml"), folder / "studies.db")


def cells_of(status):
    """Return what the tables show of each best trial and of each finalist."""
    metric = status.metric
    best = [[str(t.number), *shown(t.point), metric.text(t.value), str(t.seed)] for t in status.stages[0].best]
    finalists = [[f"coarse {f.number}", *shown(f.point), metric.spread(f.confirmed)] for f in status.verdict.finalists]
    return best + finalists


def shown(point):
    return [f"{value:.4g}" if isinstance(value, float) else str(value) for value in point.values()]


def test_pipe_gets_whole_rows(searched, cli):
    """If stdout is no terminal, each trial is one line however wide the table is, and nothing is cut or folded."""
    folder, status = searched
    code, out, error = cli("status", "--storage", folder / "studies.db")
    assert code == 0, error
    lines = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    for cells in cells_of(status):
        assert any(set(cells) <= set(line) for line in lines), cells
    assert "…" not in out
    (heading,) = [line for line in out.splitlines() if line.startswith("small/coarse: ")]
    assert "activation one of [relu], tanh" in heading
    assert "; the 2 best settings of all stages" in out


def test_finalists_that_tie_are_marked(capsys):
    """The table of finalists marks those that tie, and says what the mark is; without a tie there is none."""
    points = [Candidate("s/coarse", number, Point.of({"rate": 0.1 + number}), 0.9) for number in range(3)]
    values = [[0.80, 0.84, 0.79, 0.83], [0.60, 0.61, 0.60, 0.62], [0.81, 0.82, 0.80, 0.82]]
    for chosen, marked in (((0, 1, 2), {"coarse 0", "coarse 2"}), ((0, 1), set())):
        verdict = judge([points[n] for n in chosen], [values[n] for n in chosen], seed=0)
        _print_finalists(verdict, VALUE)
        printed = capsys.readouterr().out
        rows = [re.split(r"\s{2,}", line) for line in printed.splitlines()]
        assert {row[0] for row in rows if row[1:2] == ["*"]} == marked
        assert ("*: a tie, as the interval of behind includes 0" in " ".join(printed.split())) == bool(marked)


def test_parameters_of_a_function_have_their_own_names(tmp_path, cli):
    """Names of settings of the built-in network are a function's own names in `run`, `status` and the report.

    The columns of the trials' lines start at the same place whatever the option of a choice.
    """
    names = {
        "a": [0.001, 1.0], "lambda": [1e-6, 0.01], "eta": {"choice": ["constant", "cosine"]},
        "rho": {"uniform": [0.1, 0.9]}, "decay": {"uniform": [0.1, 0.9]},
    }  # fmt: skip
    stages = {"coarse": {"space": names, "trials": 6}}
    write_campaign(tmp_path, "objective", objective="user_functions:at_once", epochs=None, stage=stages)
    storage = ("--storage", tmp_path / "studies.db")
    code, out, lines = cli("run", tmp_path / "small.toml", *storage, "--workers", "1")
    assert code == 0, lines
    trials = [line for line in lines.splitlines() if re.match(r"coarse +\d+/6 ", line)]
    assert [len({line.find(f"  {name} ") for line in trials}) for name in names] == [1] * 5
    assert all(f"  {name} " in trials[0] for name in names)
    status = cli("status", *storage)[1]
    assert cli("report", "small", *storage, "--output", tmp_path / "small.html")[0] == 0
    text = (tmp_path / "small.html").read_text("utf-8").partition("<main>")[2].partition("</main>")[0]
    assert not re.search("[ηλρ]", out + lines + status + text)
    assert [name in status for name in names] == [name in text for name in names] == [True] * 5


@pytest.mark.parametrize("columns", [80, 40])
def test_wide_tables_are_divided_on_a_terminal(searched, columns):
    """On a terminal a table that is too wide becomes several with the same first column; sentences wrap at words."""
    folder, status = searched
    terminal = Terminal(folder, "status", columns=columns, rows=200, apart=False, NO_COLOR="1")
    try:
        assert terminal.finish()[0] == 0
    finally:
        terminal.close()
    lines = [*itertools.takewhile(lambda line: not line.startswith("Studies: "), terminal.lines)]  # its address is long
    assert [line for line in lines if len(line) > columns] == []
    rows = [re.split(r"\s{2,}", line) for line in lines]
    for key, *cells in cells_of(status):
        found = {cell for row in rows if row[0] == key for cell in row}
        assert found >= set(cells)
    assert status.verdict.summary in " ".join(terminal.text.split())
    assert "…" not in terminal.text
