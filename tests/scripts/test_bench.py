"""Tests of `scripts/bench` in its smallest form: the output is complete and plausible. No speed is judged."""

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest
from contenders import Contender

from benchmarks import processes, task
from benchmarks.__main__ import main
from benchmarks.entries import entries_of
from benchmarks.kernels import kernels as measured_kernels
from benchmarks.kernels import title
from benchmarks.sections import speed

# The benchmark pins its processes to one core, on which a busy machine gives them little time.
pytestmark = pytest.mark.timeout(900)

SECTIONS = ("speed", "widths", "profile", "storage", "campaign", "denormals", "memory", "halving", "growth")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Run the benchmark in its smallest form, without CIFAR-10; return its folder, stdout and stderr."""
    folder, out, err = tmp_path_factory.mktemp("bench"), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.delenv("COARSEFINE_DATA", raising=False)
        patch.setattr(processes, "start", Contender)
        patch.chdir(folder)
        code = main(["--smallest", "--json", "figures.json", "--picture", "docs/speed.svg"])
    assert code == 0, out.getvalue() + err.getvalue()
    return folder, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def report(measured):
    """Return the benchmark's JSON."""
    return json.loads((measured[0] / "figures.json").read_text("utf-8"))


def row(report, section, start):
    """Return the only row of a section whose name starts with a text."""
    (found,) = [r for r in report["sections"][section]["rows"] if r["what"].startswith(start)]
    return found


def test_json_records_the_machine(report):
    """The JSON records machine, versions and conditions, and marks synthetic images as such."""
    assert list(report) == ["machine", "versions", "conditions", "seconds", "sections"]
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["numpy"]
    assert report["conditions"]["threads"] == 1
    assert report["conditions"]["data"].startswith("synthetic")
    assert report["conditions"]["images"] == 200


def test_json_has_every_section_and_no_errors(report):
    """The JSON has all sections in order, each with rows and without errors."""
    assert tuple(report["sections"]) == SECTIONS
    assert all(section["rows"] and section["errors"] == [] for section in report["sections"].values())


def test_figures_are_plausible(report):
    """Medians lie between their extremes, no figure is negative, and ratios are above 0."""
    rows = [r for section in report["sections"].values() for r in section["rows"]]
    for figure in (f for r in rows for f in (r["value"], r["times_faster"]) if f):
        assert 0 <= figure["min"] <= figure["median"] <= figure["max"]
        assert figure["n"] >= 1
    assert all(r["times_faster"]["min"] > 0 for r in rows if r["times_faster"])


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("widths", "share of the peak"),
        ("storage", "share of it not in training"),
        ("campaign", "share of the peak over it"),
    ],
)
def test_shares_are_plausible(report, section, what):
    """A share of the peak or of the time is above 0, with each kernel; the kernel may exceed the peak of products."""
    found = [r["value"]["median"] for r in report["sections"][section]["rows"] if what in r["what"]]
    assert found
    assert all(0 < share < (1 if section == "storage" else 2) for share in found)


def test_every_target_has_a_verdict(report):
    """Each target has a verdict, or a note that explains why it was not measured."""
    judged = [r for s in report["sections"].values() for r in s["rows"] if r["target"]]
    assert len(judged) >= 5
    for target in judged:
        figure = target["times_faster"] or target["value"]
        assert (target["verdict"] == "not measured") == (figure is None)
        assert figure or target["note"]


def test_each_kernel_is_measured(report):
    """Stacks of each width are timed with every kernel that this machine runs, the fastest first."""
    kernels = report["conditions"]["kernels"]
    assert kernels == list(measured_kernels())
    names = [r["what"] for r in report["sections"]["widths"]["rows"]]
    for kernel in kernels:
        assert {f"{title(kernel)}: digits, 1 trial", f"{title(kernel)}: digits, 16 trials"} <= set(names)


@pytest.mark.parametrize(("package", "starts"), [("torch", ["PyTorch", "Optuna + PyTorch"]), ("jax", ["JAX"])])
def test_missing_peer_has_a_row(report, package, starts):
    """A peer that is not installed has a row with the command that installs it."""
    rows = [r for r in report["sections"]["speed"]["rows"] if r["what"].startswith(tuple(starts))]
    assert rows
    for peer in rows:
        if find_spec(package):
            assert peer["value"]["median"] > 0
        else:
            assert peer["value"] is peer["times_faster"] is None
            assert peer["note"].startswith(f"not installed: pip install '{package}")


def test_peers_have_the_same_loss(report):
    """After one epoch every contender has about Coarsefine's training loss, so all did the same work."""
    losses = {
        name: contender["loss"]
        for name, contender in report["sections"]["speed"]["contenders"].items()
        if "loss" in contender
    }
    assert {"ours", "plain", "sklearn"} <= losses.keys()
    assert losses == pytest.approx(dict.fromkeys(losses, losses["ours"]), rel=0.05)


def test_table_goes_to_stdout_and_progress_to_stderr(measured):
    """Every row is printed on stdout, and progress messages only on stderr."""
    folder, stdout, stderr = measured
    report = json.loads((folder / "figures.json").read_text("utf-8"))
    for section in report["sections"].values():
        assert all(r["what"] in stdout for r in section["rows"])
    assert "Timing" in stderr
    assert "Timing" not in stdout


def test_picture_has_a_bar_for_each_ratio(measured, report):
    """The SVG is well-formed, has one bar for each ratio, and defines colours for dark pages."""
    text = (measured[0] / "docs" / "speed.svg").read_text("utf-8")
    bars = ElementTree.fromstring(text).findall("{http://www.w3.org/2000/svg}rect")  # noqa: S314 - our own file
    assert len(bars) == sum(bool(r["times_faster"]) for r in report["sections"]["speed"]["rows"])
    assert "prefers-color-scheme: dark" in text


def test_unwritable_json_fails_early(tmp_path, monkeypatch, capsys):
    """If the JSON cannot be written, the benchmark fails before it measures anything."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["--smallest", "--only", "memory", "--json", "missing/figures.json"])
    stdout, stderr = capsys.readouterr()
    assert "missing/figures.json" in stderr
    assert stdout == ""


def test_broken_peer_fails_the_benchmark(tmp_path, monkeypatch, capsys):
    """If an installed peer fails, its row gives the error and the exit code is 1."""
    (tmp_path / "torch.py").write_text("raise RuntimeError('no such core')\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    entries = {name: entry for name, entry in entries_of(measured_kernels()[:1]).items() if name in {"ours", "torch"}}
    monkeypatch.setattr(speed, "entries_of", lambda _: entries)
    monkeypatch.setattr(task, "load_paper", lambda _: task.synthetic_arrays(200))
    monkeypatch.chdir(tmp_path)
    assert main(["--smallest", "--only", "speed", "--data", "."]) == 1
    assert "NOT VALID: PyTorch, one trial failed: RuntimeError: no such core" in capsys.readouterr().out
    report = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert row(report, "speed", "PyTorch, one trial")["note"] == "failed: RuntimeError: no such core"
