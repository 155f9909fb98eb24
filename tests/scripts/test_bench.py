"""`scripts/bench`, as small as it goes: what it writes is whole and sane. How fast anything is does not matter here."""

import json
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest
from scripted import run_script

SECTIONS = ("speed", "profile", "storage", "campaign", "memory", "halving", "growth")


def bench(*arguments, cwd, first=None):
    """Run the benchmark as small as it goes, without anybody's CIFAR-10."""
    env = {"PYTHONPATH": str(first)} if first else None
    return run_script("bench", "--smallest", *arguments, cwd=cwd, without=["COARSEFINE_DATA"], env=env)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder in which the benchmark ran, and what it said."""
    folder = tmp_path_factory.mktemp("bench")
    answer = bench("--json", "figures.json", "--picture", "docs/speed.svg", cwd=folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return folder, answer


@pytest.fixture(scope="module")
def report(measured):
    return json.loads((measured[0] / "figures.json").read_text("utf-8"))


def row(report, section, beginning):
    """Return the one row of a section that begins like this."""
    (found,) = [r for r in report["sections"][section]["rows"] if r["what"].startswith(beginning)]
    return found


def test_json_says_on_what_it_was_measured(report):
    """Machine, versions and conditions stand beside the figures, and made-up images are called so."""
    assert list(report) == ["machine", "versions", "conditions", "seconds", "sections"]
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["numpy"]
    assert report["conditions"]["threads"] == 1
    assert report["conditions"]["data"].startswith("synthetic")
    assert report["conditions"]["images"] == 200


def test_json_has_every_section_and_no_errors(report):
    """All sections are there, in order, each with rows and without a complaint."""
    assert tuple(report["sections"]) == SECTIONS
    assert all(section["rows"] and section["errors"] == [] for section in report["sections"].values())


def test_every_figure_is_sane(report):
    """Medians lie between their extremes, nothing is negative, and ratios are above 0."""
    rows = [r for section in report["sections"].values() for r in section["rows"]]
    for figure in (f for r in rows for f in (r["value"], r["times_faster"]) if f):
        assert 0 <= figure["min"] <= figure["median"] <= figure["max"]
        assert figure["n"] >= 1
    assert all(r["times_faster"]["min"] > 0 for r in rows if r["times_faster"])


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("speed", "share of the peak inside training"),
        ("storage", "share of it not in training"),
        ("campaign", "share of the peak over it"),
    ],
)
def test_shares_lie_between_0_and_1(report, section, what):
    """A share of the peak, or of the time, is a fraction."""
    assert 0 < row(report, section, what)["value"]["median"] < 1


def test_every_target_has_a_verdict(report):
    """Eleven targets are judged, or said to be not measured and why; a peer that is missing passes no judgement."""
    judged = {r["what"]: r for s in report["sections"].values() for r in s["rows"] if r["target"]}
    assert len(judged) == 11
    for each in judged.values():
        figure = each["times_faster"] or each["value"]
        assert (each["verdict"] == "not measured") == (figure is None)
        assert figure or each["note"]


@pytest.mark.parametrize(("package", "beginnings"), [("torch", ["PyTorch", "Optuna + PyTorch"]), ("jax", ["JAX"])])
def test_missing_peer_is_said(report, package, beginnings):
    """A peer that is not installed has its row all the same, with the command that installs it."""
    rows = [r for r in report["sections"]["speed"]["rows"] if r["what"].startswith(tuple(beginnings))]
    assert rows
    for each in rows:
        if find_spec(package):
            assert each["value"]["median"] > 0
        else:
            assert each["value"] is each["times_faster"] is None
            assert each["note"].startswith(f"not installed: pip install '{package}")


def test_peers_have_the_same_loss(report):
    """After an epoch, every contender that ran has about Coarsefine's training loss: nobody did less."""
    losses = {name: told["loss"] for name, told in report["sections"]["speed"]["contenders"].items() if "loss" in told}
    assert {"ours", "plain", "sklearn"} <= losses.keys()
    assert losses == pytest.approx(dict.fromkeys(losses, losses["ours"]), rel=0.05)


def test_table_goes_to_stdout_and_talk_to_stderr(measured):
    """Every row is printed; what is going on is told apart from it."""
    folder, answer = measured
    report = json.loads((folder / "figures.json").read_text("utf-8"))
    for section in report["sections"].values():
        assert all(r["what"] in answer.stdout for r in section["rows"])
    assert "Timing" in answer.stderr
    assert "Timing" not in answer.stdout


def test_picture_is_an_image_with_a_bar_for_each_ratio(measured, report):
    """The SVG is well-formed, has as many bars as there are ratios, and colours for dark pages."""
    text = (measured[0] / "docs" / "speed.svg").read_text("utf-8")
    bars = ElementTree.fromstring(text).findall("{http://www.w3.org/2000/svg}rect")  # noqa: S314 - our own file
    assert len(bars) == sum(bool(r["times_faster"]) for r in report["sections"]["speed"]["rows"])
    assert "prefers-color-scheme: dark" in text


def test_json_that_cannot_be_written_fails(tmp_path):
    """Where its JSON could not be written, the benchmark says so before it measures anything."""
    answer = bench("--only", "memory", "--json", "missing/figures.json", cwd=tmp_path)
    assert answer.returncode == 2
    assert "missing/figures.json" in answer.stderr
    assert answer.stdout == ""


def test_broken_peer_fails_loudly(tmp_path):
    """A peer that is installed and fails is no peer that is missing: the row says why, and the exit code tells."""
    (tmp_path / "torch.py").write_text("raise RuntimeError('no such core')\n", "utf-8")
    answer = bench("--only", "speed", cwd=tmp_path, first=tmp_path)
    assert answer.returncode == 1
    assert "NOT VALID: PyTorch, one trial failed: RuntimeError: no such core" in answer.stdout
    report = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert row(report, "speed", "PyTorch, one trial")["note"] == "failed: RuntimeError: no such core"
