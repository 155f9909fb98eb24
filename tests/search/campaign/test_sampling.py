"""Test samplers: Coarsefine's own, one of another package, and what is refused."""

import json
import re
import shutil

import numpy as np
import pytest
from campaigns import campaign_toml
from commands import coarsefine
from forked import forked_command
from hypothesis import given, settings
from hypothesis import strategies as st
from packages import EXAMPLES, install, install_example, run_example
from stored import table

from coarsefine import Campaign, CampaignError, Interrupted, run
from coarsefine.model.errors import ExtensionError
from coarsefine.model.extensions import load
from coarsefine.search.campaign.dimension import Uniform
from coarsefine.search.campaign.sampling import SAMPLERS, draw
from coarsefine.search.campaign.space import Space

SQUARE = Space.of({"x": Uniform(0.0, 1.0), "y": Uniform(0.0, 1.0)})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install the example of the documentation."""
    return install_example(tmp_path_factory.mktemp("site"), "halton")


@pytest.fixture(scope="module")
def ran(site, tmp_path_factory):
    """Run the example's campaign with two worker processes; return the folder."""
    folder = tmp_path_factory.mktemp("halton")
    run_example(folder, "halton", site)
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a sampler of another package for this process."""

    def install_one(name, text):
        install(tmp_path / "site", f"{name}-sampler", {SAMPLERS.name: {name: f"{name}:sample"}}, **{name: text})
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return install_one


@settings(max_examples=50)
@given(
    st.sampled_from(sorted(SAMPLERS.built_in)), st.integers(1, 300), st.integers(1, 6), st.integers(0, 2**32), st.data()
)
def test_own_samplers_keep_the_promises(name, n, d, seed, data):
    """Points fill the cube's shape, lie in [0, 1), follow from the generator, and begin alike for every number."""
    sample = load(SAMPLERS, name)
    points = sample(n, d, np.random.default_rng(seed))
    assert points.shape == (n, d)
    assert ((points >= 0) & (points < 1)).all()
    k = data.draw(st.integers(1, n))
    assert np.array_equal(sample(k, d, np.random.default_rng(seed)), points[:k])


def test_sampler_of_another_package_runs(ran, site, monkeypatch):
    """Two workers draw the package's points; its version is recorded with the campaign."""
    monkeypatch.syspath_prepend(str(site))
    campaign = Campaign.load(ran / "halton.toml")
    expected = draw(campaign.bounds_of(campaign.stage[0]), "halton", 12, np.random.SeedSequence(0, spawn_key=(0, 0)))
    rows = table(ran / "studies.db")
    assert [rows["halton/coarse", number][1] for number in range(12)] == [point.as_dict() for point in expected]
    assert campaign.packages() == {"coarsefine-halton": "1.0"}
    answer = coarsefine("export", "halton", "--output", "export.json", cwd=ran)
    assert answer.returncode == 0, answer.stderr
    assert json.loads((ran / "export.json").read_text("utf-8"))["versions"]["coarsefine-halton"] == "1.0"


def test_one_worker_gets_the_same_table(ran, site, tmp_path, monkeypatch):
    """One process draws the same points and records the same values as two workers."""
    monkeypatch.syspath_prepend(str(site))
    run(Campaign.load(ran / "halton.toml"), tmp_path / "studies.db")
    assert table(tmp_path / "studies.db") == table(ran / "studies.db")


def test_campaign_is_looked_at_without_the_package(ran):
    """Where the package is missing, status, best, report and export work."""
    for command in ("status", "best", "report", "export"):
        answer = coarsefine(command, "halton", cwd=ran)
        assert answer.returncode == 0, answer.stderr


@pytest.fixture
def unfinished(site, tmp_path):
    """Run the example for a few epochs, where the package is installed; return the folder."""
    shutil.copy(EXAMPLES / "halton" / "halton.toml", tmp_path)
    asked = iter(range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        campaign = Campaign.load(tmp_path / "halton.toml")
        with pytest.raises(Interrupted):
            run(campaign, tmp_path / "studies.db", stop=lambda: next(asked, None) is None)
    return tmp_path


def test_campaign_does_not_resume_without_the_package(unfinished):
    """Without the package, a run of the campaign file and a worker for the started campaign are refused."""
    for command in (("run", "halton.toml"), ("worker", "halton")):
        answer = forked_command(*command, cwd=unfinished)
        assert answer.returncode == 2
        assert "here is no sampler 'halton' (known: random, sobol)." in answer.stderr
    shown = forked_command("status", cwd=unfinished).stdout
    assert re.search(r"Next: install coarsefine-halton 1\.0, then: .* run halton", shown)


def test_campaign_does_not_resume_with_another_version(unfinished):
    """A campaign does not go on with another version of the package, as with another version of NumPy."""
    folder = install_example(unfinished / "site", "halton")
    metadata = folder / "coarsefine_halton-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text("utf-8").replace("1.0\n", "2.0\n"), "utf-8")
    answer = forked_command("run", "halton.toml", cwd=unfinished, packages=[folder])
    assert answer.returncode == 2
    assert "versions.coarsefine-halton was '1.0', now '2.0'" in answer.stderr


def test_unknown_sampler_lists_the_known_ones(site, tmp_path, monkeypatch):
    """The error for an unknown sampler lists the known ones with the package they come from."""
    monkeypatch.syspath_prepend(str(site))
    path = tmp_path / "small.toml"
    for written, message in (
        ("tpe", "'tpe': there is no sampler 'tpe' (known: random, sobol, halton of coarsefine-halton 1.0)."),
        (3, '3: a sampler is a name, such as "sobol".'),
    ):
        path.write_text(campaign_toml(stage={"fine": {"sampler": written}}), "utf-8")
        with pytest.raises(CampaignError) as error:
            Campaign.load(path)
        assert str(error.value) == f"{path}: stage 2, sampler = {message}"


BROKEN = {
    "no_function": ("sample = 3\n", "(no_function:sample) is not a function: correct it, or name another sampler"),
    "arguments": (
        "def sample(n): ...\n",
        "(arguments:sample) is called as sample(n, d, rng), but too many positional arg",
    ),
}
WRONG = {
    "raises": ("raise RuntimeError('no luck')", "failed: RuntimeError: no luck."),
    "no_array": ("return [[0.1], [0.1, 0.2]]", "failed: ValueError: setting an array element"),
    "quits": ("raise SystemExit(3)", "failed: SystemExit: 3."),
    "nothing": ("return None", "returned an array of shape () for n = 8, d = 2: it must be (8, 2)."),
    "transposed": (
        "return rng.random((d, n))",
        "returned an array of shape (2, 8) for n = 8, d = 2: it must be (8, 2).",
    ),
    "nan": ("return rng.random((n, d)) * float('nan')", "returned nan: its numbers must be in [0, 1)."),
    "one": ("return rng.random((n, d)) ** 0", "returned 1.0: its numbers must be in [0, 1)."),
    "latin": (
        "from scipy.stats import qmc; return qmc.LatinHypercube(d, rng=rng).random(n)",
        "does not begin 8 points with the ",
    ),
    "own_luck": (
        "import os; return [[b / 256 for b in os.urandom(d)] for _ in range(n)]",
        "must depend on `rng` alone",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_sampler_is_refused_by_the_campaign_file(installed, tmp_path, case):
    """What is no sampler is named with its package when a campaign names it, and disturbs no other campaign."""
    text, message = BROKEN[case]
    installed(case, text)
    Campaign.load("digits")
    (tmp_path / "small.toml").write_text(campaign_toml(stage={"coarse": {"sampler": case}}), "utf-8")
    with pytest.raises(CampaignError) as error:
        Campaign.load(tmp_path / "small.toml")
    assert f"sampler '{case}' of {case}-sampler 1.0 {message}" in str(error.value)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_points_are_refused(installed, case):
    """Points of another shape, outside the cube, or that depend on their number or on chance are refused."""
    body, message = WRONG[case]
    installed(case, f"def sample(n, d, rng):\n    {body}\n")
    with pytest.raises((CampaignError, ExtensionError)) as error:
        draw(SQUARE, case, 8, np.random.SeedSequence(1))
    assert str(error.value).startswith(f"The sampler '{case}' of {case}-sampler 1.0 ")
    assert message in str(error.value)


def test_refused_points_leave_no_study(installed, tmp_path):
    """A run whose sampler is refused ends with one sentence, and without a study."""
    installed("outside", "def sample(n, d, rng):\n    return rng.random((n, d)) + 1\n")
    (tmp_path / "small.toml").write_text(campaign_toml(stage={"coarse": {"sampler": "outside"}}), "utf-8")
    answer = coarsefine("run", "small.toml", "--workers", 1, cwd=tmp_path)
    assert answer.returncode == 2
    assert "its numbers must be in [0, 1)." in answer.stderr
    assert coarsefine("status", cwd=tmp_path).returncode == 2
