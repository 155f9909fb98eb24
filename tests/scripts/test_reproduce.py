"""Tests of `scripts/reproduce --quick` on digits: pages, pictures and numbers are complete and follow from the data."""

import itertools
import json
import math
import re
from dataclasses import replace
from functools import partial
from xml.etree import ElementTree

import pytest
from scipy.stats import t

from reproduction.__main__ import main
from reproduction.campaigns import whole
from reproduction.evidence import VARIATIONS, images_of, named_settings, the_report
from reproduction.jobs import Job, take
from reproduction.plan import FIXED, NARROWED, Plan
from reproduction.spread import Spread, compared, gain

PICTURES = ["figure-1.svg", "searches.svg", "figures-2-8.svg", "steps.svg"]
PRESET_PICTURE = "preset.svg"


@pytest.fixture
def reproduce_here(monkeypatch, tmp_path, capsys):
    """Return a function that runs the quick form in this process; it returns exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COARSEFINE_DATA", raising=False)

    def call(*arguments):
        try:
            code = main(["--quick", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the quick form without CIFAR-10 to its end; return its folder."""
    folder = tmp_path_factory.mktemp("reproduce") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COARSEFINE_DATA", raising=False)
        assert main(["--quick", "--folder", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder):
    """Return the page about the report."""
    return (folder / "results" / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def results(folder):
    """Return the results about the report."""
    return json.loads((folder / "results" / "results.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def preset(folder):
    """Return the results about the preset."""
    return json.loads((folder / "results" / "preset.json").read_text("utf-8"))


def plan(folder):
    """Return the plan of the quick form."""
    return Plan(folder, source=None, quick=True, digits=True, seeds=(1, 2), trainings=2)


def test_page_has_every_published_number(page):
    """The page has each gradient error, search result, named setting and final accuracy of the report."""
    report = the_report()
    numbers = [f"{error:.2e}" for error in report.gradient_check["errors"].values()]
    shares = [report.final["train_accuracy"], report.final["test_accuracy"]]
    shares += [best["accuracy"] for stage in report.stage for best in stage["best"]]
    numbers += [f"{100 * share:.2f} %" for share in shares]
    numbers += [f"{named.eta:g}, {named.lam:g}" for named in named_settings() if named.searched]
    assert [number for number in numbers if number not in page] == []
    assert all(variation.words in page for variation in VARIATIONS.values())


@pytest.mark.parametrize(
    ("name", "numbers", "pictures"),
    [("README.md", "results.json", PICTURES), ("preset.md", "preset.json", [PRESET_PICTURE])],
)
def test_page_is_valid_markdown(folder, name, numbers, pictures):
    """Table rows have equally many cells, pictures exist, and the quick form warns about its numbers."""
    page = (folder / "results" / name).read_text("utf-8")
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    assert re.findall(r"\]\(([^)]*\.svg)\)", page) == pictures
    assert "its numbers say nothing" in page
    results = json.loads((folder / "results" / numbers).read_text("utf-8"))
    assert results["conditions"]["images"].startswith("digits")
    assert f"]({numbers})" in page
    assert "nan" not in page.lower()


@pytest.mark.parametrize("name", [*PICTURES, PRESET_PICTURE])
def test_pictures_are_small_and_support_dark_pages(folder, name):
    """Each picture is well-formed, smaller than 150 kB, and defines colours for dark pages."""
    text = (folder / "results" / name).read_text("utf-8")
    assert ElementTree.fromstring(text).attrib["aria-label"]  # noqa: S314 - our own file
    assert len(text.encode()) < 150_000
    assert "prefers-color-scheme: dark" in text


def test_numbers_are_means_of_their_values(results):
    """Each mean in the JSON is the mean of its values and lies within its interval."""
    spreads = list(spreads_in(results))
    assert len(spreads) > 40
    for spread in spreads:
        assert spread["n"] == len(spread["values"]) == 2
        assert spread["mean"] == pytest.approx(sum(spread["values"]) / 2, rel=1e-5, abs=1e-9)
        assert spread["low"] <= spread["mean"] <= spread["high"]


def spreads_in(value):
    """Yield every spread in a value parsed from JSON."""
    if isinstance(value, dict) and "mean" in value:
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from spreads_in(item)


def test_gains_are_differences_of_the_same_seed(results):
    """The gain of a step is the difference of test accuracies to the previous step, seed by seed."""
    steps = results["steps"]
    assert steps[0]["gain"] is None
    for before, after in itertools.pairwise(steps):
        pairs = zip(before["test"]["values"], after["test"]["values"], strict=True)
        assert after["gain"]["values"] == pytest.approx([b - a for a, b in pairs], abs=2e-6)


def test_preset_page_continues_the_reports_steps(folder, results, preset):
    """The second page has the first one's steps, then the preset and the third parameter, as means of trainings."""
    before = {step["key"]: step["test"]["values"] for step in results["steps"]}
    assert list(preset["tests"]) == [*before, "preset", "hidden"]
    assert {key: preset["tests"][key]["values"] for key in before} == before
    for kind, winners in preset["winners"].items():
        means = [sum(winner["tests"]) / 2 for winner in winners]
        assert preset["tests"][kind]["values"] == pytest.approx(means, rel=1e-5)
        assert [winner["seed"] for winner in winners] == [1, 2]
        assert all(("hidden" in winner["params"]) == (kind == "hidden") for winner in winners)
        assert all(winner["params"].get("hidden", 50) in {25, 50, 75, 100} for winner in winners)
    difference = Spread.of(preset["tests"]["hidden"]["values"]).less(Spread.of(preset["tests"]["preset"]["values"]))
    assert f"| {gain(difference)} |" in (folder / "results" / "preset.md").read_text("utf-8")


def test_preset_without_the_report_is_refused(reproduce_here):
    """The preset is not measured if the report's steps are missing."""
    code, stderr = reproduce_here("--part", "preset")
    assert code == 2
    assert re.search(r"results\.json cannot be read .*: measure the report first, by --part report\.", stderr)
    assert "pieces" not in stderr


def test_preset_with_other_seeds_is_refused(reproduce_here, folder):
    """The preset is refused if the report was measured with other seeds."""
    code, stderr = reproduce_here("--part", "preset", "--seeds", 3, "--folder", folder)
    assert code == 2
    assert "results.json was measured with seeds = [1, 2], not [1, 2, 3]: measure both parts alike." in stderr


def test_narrowed_campaign_has_the_reports_coarse_stage(folder):
    """With the same seed, the first stage of the narrowed campaign equals the report's bit for bit."""
    for seed in (1, 2):
        outcomes = [
            json.loads((folder / "measured" / f"{kind}-{seed}.json").read_text("utf-8")) for kind in (FIXED, NARROWED)
        ]
        fixed, narrowed = (outcome["status"]["stages"][0]["best"] for outcome in outcomes)
        assert fixed == narrowed


def test_second_run_measures_nothing(reproduce_here, folder, page):
    """A second run reuses the stored measurements and writes the same pages."""
    preset = (folder / "results" / "preset.md").read_text("utf-8")
    code, stderr = reproduce_here("--folder", folder)
    assert code == 0, stderr
    assert re.findall(r"(\d+) are measured", stderr) == ["0"] * 4
    assert (folder / "results" / "README.md").read_text("utf-8") == page
    assert (folder / "results" / "preset.md").read_text("utf-8") == preset


def test_lost_measurement_is_restored(folder):
    """A measurement whose file was deleted is read from its campaign again, with the same numbers."""
    job = Job(FIXED, 1, partial(whole, kind=FIXED))
    file = job.file(plan(folder))
    before = json.loads(file.read_text("utf-8"))
    file.unlink()
    take(plan(folder), job)
    after = json.loads(file.read_text("utf-8"))
    assert {**after, "seconds": 0} == {**before, "seconds": 0}


def test_quick_form_uses_the_given_images(tmp_path, cifar10_archive, monkeypatch):
    """On CIFAR-10, a quick campaign uses half of the report's training images."""
    monkeypatch.setattr("reproduction.plan._QUICK_TRIALS", 1)  # of each stage, to save time
    quick = Plan(tmp_path, cifar10_archive, quick=True, digits=False, seeds=(1, 2), trainings=1)
    outcome = whole(quick, 1, kind=FIXED)
    assert images_of(quick).description.startswith("CIFAR-10, 10,000/1,000/10,000 images")
    assert [stage["completed"] for stage in outcome["status"]["stages"]] == [1, 1, 1]
    assert 0.1 < min(outcome["steps"][FIXED]["test"]) < 0.6


def test_folder_of_another_plan_is_refused(reproduce_here, folder, tmp_path):
    """Measurements of another plan are not mixed in; the error names the difference and the remedy."""
    (tmp_path / "kept").mkdir()
    identity = replace(plan(folder), quick=False).identity
    (tmp_path / "kept" / "plan.json").write_text(json.dumps(identity), "utf-8")
    code, stderr = reproduce_here("--folder", "kept")
    assert code == 2
    assert "kept holds measurements with quick = False, not True: give another --folder." in stderr


def test_one_seed_is_refused(reproduce_here):
    """A single seed is refused, because it has no spread."""
    code, stderr = reproduce_here("--seeds", 1)
    assert code == 2
    assert "--seeds 1: a spread takes two at least" in stderr


def test_prediction_interval_is_students():
    """The range that holds one more value is mean ± t·s·√(1 + 1/n)."""
    spread = Spread.of([0.4, 0.5, 0.6])
    half = t.ppf(0.975, 2) * 0.1 * math.sqrt(1 + 1 / 3)
    assert spread.further == pytest.approx((0.5 - half, 0.5 + half))
    assert spread.holds(0.5 + 0.99 * half)
    assert not spread.holds(0.5 + 1.01 * half)


def test_verdict_follows_the_spread():
    """A value within the range is reported as such; outside it, the verdict gives the difference and its direction."""
    spread = Spread.of([0.49, 0.50, 0.51])
    assert compared(0.51, spread, "campaigns").startswith("51.00 % is within our spread (95 of 100 such campaigns")
    assert compared(0.40, spread, "campaigns").startswith("ours is higher by 10.0 points, more than our spread")
    assert compared(0.60, spread, "campaigns").startswith("ours is lower by 10.0 points, more than our spread")


def test_paired_gain_is_written_in_points():
    """A gain is the difference of each seed, written with its sign and interval."""
    text = gain(Spread.of([0.48, 0.49]).less(Spread.of([0.50, 0.51])))
    assert text == "−2.00 ± 0.00"
