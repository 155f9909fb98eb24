"""Test upgrades during a campaign: what changes no bit is no matter, what may is refused, or accepted and recorded."""

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from campaigns import write_campaign
from packages import install
from stored import forget_seal, table, undisturbed_table

from coarsefine import Campaign, CampaignError, Interrupted, Observer, join, run
from coarsefine.model.arithmetic import KERNEL, NUMPY
from coarsefine.search.results.sources import version_changes_of
from coarsefine.search.training.identity import versions
from coarsefine.search.training.version_changes import changed_versions, samplers_left

FEATURE = ".".join(versions()["numpy"].split(".")[:2])


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the table of an undisturbed run."""
    return undisturbed_table(tmp_path_factory.mktemp("expected"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Return the folder of a campaign that was stopped after its first trials."""
    folder, asked = write_campaign(tmp_path_factory.mktemp("stopped")), iter(range(6))
    with pytest.raises(Interrupted):
        run(Campaign.load(folder / "small.toml"), folder / "studies.db", stop=lambda: next(asked, None) is None)
    return folder


@pytest.fixture
def folder(stopped, tmp_path, monkeypatch):
    """Return a copy of that folder, which is the working directory."""
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started_with(**earlier):
    """Change the versions that the studies say they were started with."""
    forget_seal("studies.db")
    with closing(sqlite3.connect("studies.db")) as connection:
        connection.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = 'versions'",
            [json.dumps({**versions(), **earlier})],
        )
        connection.commit()


@pytest.mark.usefixtures("folder")
def test_campaign_goes_on_after_upgrades_that_change_no_bit(expected):
    """A run, and a worker, go on after a patch release of NumPy and any release of Coarsefine and SciPy."""
    started_with(coarsefine="0.0.1", scipy="1.0.0", numpy=f"{FEATURE}.999")
    join(Campaign.load("small.toml"), "studies.db")
    assert run(Campaign.load("small.toml"), "studies.db").version_changes == ()
    assert table("studies.db") == expected


@pytest.mark.usefixtures("folder")
def test_upgrade_that_may_change_bits_is_refused_or_accepted(cli, expected):
    """After a feature release of NumPy, status says so and prints a command that works; both versions are recorded."""
    started_with(numpy="1.0.9")
    now = versions()["numpy"]
    ended_before = {key for key, row in table("studies.db").items() if row[0].is_finished()}
    with pytest.raises(CampaignError) as refused:
        run(Campaign.load("small.toml"), "studies.db")
    assert str(refused.value) == (
        f"small/coarse was started with something else: versions.numpy was '1.0.9', now '{now}'. Restore that, give "
        "--accept-changes (in Python accept_changes=True) to go on with what is here, which records both, or start the "
        "campaign under another name or --storage."
    )
    _, out, err = cli("status")
    assert f"versions.numpy was '1.0.9', now '{now}'. To go on with what is here, give `run` the option" in err
    assert "run small --accept-changes" in out
    code, out, err = cli("run", "small", "--workers", "1", "--json", "--accept-changes")
    assert code == 0, err
    assert "The change is recorded, and the trials that are left are trained with what is here." in err
    assert table("studies.db") == expected
    (change,) = json.loads(out)["version_changes"]
    assert (change["before"], change["after"]) == ({"numpy": "1.0.9"}, {"numpy": now})
    assert f"Versions changed: numpy 1.0.9 → {now} (accepted {change['accepted']})." in cli("status")[1]
    trials = optuna.load_study(study_name="small/coarse", storage="sqlite:///studies.db").trials
    before = {("small/coarse", t.number) for t in trials if "version_changes" not in t.user_attrs}
    assert before == ended_before
    for key, numpy in ((min(before), "1.0.9"), (("small/fine", 0), now)):
        assert cli("export", "small", "--trial", f"{key[0][6:]}#{key[1]}", "--output", "trial.json")[0] == 0
        assert json.loads(Path("trial.json").read_text("utf-8"))["versions"]["numpy"] == numpy
    assert cli("report", "small", "--output", "report.html")[0] == 0
    assert f"numpy 1.0.9 → {now}" in Path("report.html").read_text("utf-8")


@pytest.mark.usefixtures("folder")
def test_finished_campaign_needs_no_versions(cli):
    """A campaign that has ended is run, joined and looked at with any versions, without a word about them."""
    assert cli("run", "small", "--workers", "1", "--quiet")[0] == 0
    started_with(numpy="1.0.9")
    for command in (("run", "small", "--workers", "1"), ("worker", "small"), ("status",), ("best",)):
        code, out, err = cli(*command)
        assert code == 0, err
        assert "something else" not in out + err


NETWORK = {"versions": {"coarsefine": "1.0", "numpy": "2.4.6", "scipy": "1.17"}, "arithmetic": KERNEL}
FUNCTION = {"versions": NETWORK["versions"], "objective": {"name": "mine:train"}}


@pytest.mark.parametrize(
    ("present", "changes", "places"),
    [
        (NETWORK, {"numpy": "2.4.5", "scipy": "1.16", "coarsefine": "0.9"}, []),
        (NETWORK, {"numpy": "2.3.6"}, ["versions.numpy"]),
        (NETWORK, {"halton": "1.0"}, ["versions.halton"]),
        ({**NETWORK, "arithmetic": NUMPY}, {"numpy": "2.4.5"}, ["versions.numpy"]),
        (FUNCTION, {"numpy": "1.0", "scipy": "1.16", "coarsefine": "0.9"}, []),
        (FUNCTION, {"halton": "1.0"}, ["versions.halton"]),
        ({**FUNCTION, "config": {"packages": ["numpy"]}}, {"numpy": "2.4.5", "scipy": "1.16"}, ["versions.numpy"]),
    ],
)
def test_what_decides_bits(present, changes, places):
    """It is the kernel's version and NumPy's feature release, without the kernel NumPy's version, and packages.

    Of a function it is the packages that it declares, NumPy too.
    """
    before = {**present, "versions": {**present["versions"], **changes}}
    assert [place for place, *_ in changed_versions(before, present)] == places


@pytest.mark.parametrize(
    ("changes", "samplers", "places"),
    [
        ({"numpy": "2.3.6"}, {"random"}, ["versions.numpy"]),
        ({"numpy": "2.4.5", "scipy": "1.16"}, {"random"}, []),
        ({"scipy": "1.16.3"}, {"random", "sobol"}, ["versions.scipy"]),
        ({"scipy": "1.17.9", "coarsefine": "0.9"}, {"sobol"}, []),
    ],
)
def test_what_decides_the_points_of_stages_to_be_opened(changes, samplers, places):
    """They are drawn by NumPy's feature release, for user code, too, and by SciPy's for `sobol`."""
    before = {**FUNCTION, "versions": {**FUNCTION["versions"], **changes}}
    assert [place for place, *_ in changed_versions(before, FUNCTION, samplers)] == places


def test_release_that_changes_results_says_so():
    """Another `results_version` of Coarsefine is a change; studies that do not store one have 1."""
    assert changed_versions(FUNCTION, {**FUNCTION, "results_version": 1}) == []
    assert changed_versions(FUNCTION, {**FUNCTION, "results_version": 2}) == [("results_version", 1, 2)]


def test_accepted_change_of_results_is_shown():
    """A change of Coarsefine's `results_version` is listed like one of a package."""
    change = {"time": "2026-01-01", "from": {"versions": {}}, "to": {"versions": {}, "results_version": 2}}
    (found,) = version_changes_of([SimpleNamespace(attrs={"accepted_versions": [change]})])
    assert found.text == "results_version 1 → 2 (accepted 2026-01-01)"


def test_function_goes_on_after_upgrades_once_its_stages_are_open(tmp_path, monkeypatch):
    """A feature release of NumPy is refused while it would draw a stage's points, and ignored afterwards."""
    monkeypatch.chdir(write_campaign(tmp_path, "objective"))
    campaign, asked = Campaign.load("small.toml"), iter(range(3))
    with pytest.raises(Interrupted):
        run(campaign, "studies.db", stop=lambda: next(asked, None) is None)
    started_with(numpy="1.0.9")
    with pytest.raises(CampaignError, match=r"versions\.numpy was '1\.0\.9'"):
        run(campaign, "studies.db")
    started_with()
    assert run(campaign, "studies.db").state == "done"
    studies = optuna.load_study(study_name="small/fine", storage="sqlite:///studies.db")
    assert studies.user_attrs["results_version"] == 1
    earlier = {"versions": {**versions(), "numpy": "1.0.9"}}
    opened = [{**studies.user_attrs, "stage": stage} for stage in ("coarse", "fine")]
    assert samplers_left(opened[:1]) == {"random"}
    assert changed_versions({**opened[0], **earlier}, opened[0], samplers_left(opened)) == []


def test_other_arithmetic_decides_bits_of_the_network_only():
    """Another kernel is a change for the network, and none for user code, which it does not train."""
    assert [*changed_versions({**NETWORK, "arithmetic": "coarsefine kernel 0"}, NETWORK)] == [
        ("arithmetic", "coarsefine kernel 0", KERNEL)
    ]
    assert changed_versions({**FUNCTION, "arithmetic": "coarsefine kernel 0"}, FUNCTION) == []


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """Install a package that a function declares, and write its campaign; return a function that upgrades it."""
    metadata = install(tmp_path / "site", "lab-kit", {}) / "lab_kit-1.0.dist-info" / "METADATA"
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    stages = {"coarse": {"trials": 3}, "fine": None}
    write_campaign(tmp_path, "objective", packages=["Lab_Kit"], stage=stages, confirm=None)
    return lambda version: metadata.write_text(f"Metadata-Version: 2.1\nName: lab-kit\nVersion: {version}\n", "utf-8")


def until_a_trial_ends(**options):
    """Run the campaign until a trial has ended."""
    ended, observer = threading.Event(), Observer()
    observer.on_recorded = lambda *arguments: arguments[-1] and ended.set()
    with pytest.raises(Interrupted):
        run(Campaign.load("small.toml"), observer=observer, stop=ended.is_set, **options)


def test_version_of_a_declared_package_is_refused_or_accepted(kit, cli):
    """A function's campaign does not go on with another version of its packages, unless that is accepted: both ways."""
    until_a_trial_ends()
    kit("2.0+cpu")
    for resume in (run, join):
        with pytest.raises(
            CampaignError, match=r"versions\.lab-kit was '1\.0', now '2\.0\+cpu'\. Restore that, give --ac"
        ):
            resume(Campaign.load("small.toml"), "studies.db")
    assert "run small --accept-changes" in cli("status")[1]
    until_a_trial_ends(accept_changes=True)
    kit("1.0")
    with pytest.raises(CampaignError, match=r"versions\.lab-kit was '2\.0\+cpu', now '1\.0'"):
        run(Campaign.load("small.toml"))
    status = run(Campaign.load("small.toml"), accept_changes=True)
    assert [(change.before, change.after) for change in status.version_changes] == [
        ({"lab-kit": "1.0"}, {"lab-kit": "2.0+cpu"}),
        ({"lab-kit": "2.0+cpu"}, {"lab-kit": "1.0"}),
    ]
