"""Test the network's settings: declared once, added by a patch of one file, and brought by another package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from campaigns import campaign_toml, write_campaign
from commands import Answer, coarsefine, coarsefine_process
from forked import forked_command
from packages import EXAMPLES, environment_with, install, install_example
from pydantic import ValidationError
from stored import table

from coarsefine import Campaign, CampaignError
from coarsefine.model.errors import ExtensionError
from coarsefine.model.hyperparameters import Hyperparameters, TrainingSettings
from coarsefine.search.campaign.network_settings import (
    KEYS,
    NAMES,
    NETWORK_SETTINGS,
    SETTINGS,
    hyperparameters_of,
    setting,
    training_settings_of,
)
from coarsefine.search.campaign.sections import Model, Stage
from coarsefine.search.cli.doctor import examine
from coarsefine.search.storage.location import at_file

PACKAGE = Path(__file__).parents[3] / "src" / "coarsefine"
SUPPORT = Path(__file__).parents[2] / "support"
LOAD_ALL = """
import json, sys
from pathlib import Path
from coarsefine import Campaign, run
from coarsefine.model.errors import ModelError
from coarsefine.search.errors import SearchError
found = {}
for path in sorted(Path.cwd().glob("*.toml")):
    try:
        found[path.stem] = run(Campaign.load(path), path.with_suffix(".db")).state
    except (SearchError, ModelError) as error:
        found[path.stem] = str(error).removeprefix(f"{path}: ")
print(json.dumps(found))
"""
"""Runs each campaign of a folder, and prints its state or error."""
ANSWER_ALL = """
import json, sys
from dataclasses import astuple
from commands import coarsefine
print(json.dumps([astuple(coarsefine(*command, cwd=".")) for command in json.loads(sys.argv[1])]))
"""
"""Runs one command after another, and prints their answers."""


def test_settings_are_in_the_order_of_the_points():
    """The order of the names decides which numbers of a draw a setting gets; studies rely on it."""
    assert list(NETWORK_SETTINGS) == ["eta", "lambda", "rho", "decay", "hidden", "batch"]


def test_possible_values_follow_from_the_bounds():
    """The words for the possible values and the check agree with the bounds."""
    words = {name: setting.allowed for name, setting in NETWORK_SETTINGS.items()}
    assert words == {
        "eta": "above 0", "lambda": "0 or above", "rho": "0 or above, and below 1", "decay": "above 0, and at most 1",
        "hidden": "1 to 100000", "batch": "1 or above",
    }  # fmt: skip
    assert [NETWORK_SETTINGS["rho"].allows(value) for value in (-0.1, 0, 0.99, 1)] == [False, True, True, False]
    assert [NETWORK_SETTINGS["decay"].allows(value) for value in (0, 0.1, 1, 1.1)] == [False, True, True, False]


def test_values_become_the_inputs_of_a_training():
    """Each value goes into its field with the field's type; what has no value has the field's default."""
    assert hyperparameters_of({"eta": 1, "lambda": 0, "batch": 7}, 5) == Hyperparameters(1.0, 0.0, 5)
    common = {"epochs": 3, "order": "fixed", "order_seed": 2, "precision": "float64", "mirror": True}
    expected = TrainingSettings(batch=7, epochs=3, order="fixed", order_seed=2, precision="float64", mirror=True)
    assert training_settings_of({**common, "eta": 1.0, "batch": 7}) == expected


def test_other_keys_are_known():
    """A setting of another package cannot have the name of a key that stages or the network's section have."""
    assert {*Stage.model_fields, *Model.model_fields} - {*NAMES} == KEYS


def _insert(path, line, section="[[stage]]"):
    """Insert a line at the beginning of the first section of this name."""
    path.write_text(path.read_text("utf-8").replace(section, f"{section}\n{line}", 1), "utf-8")


# A setting that is added to Coarsefine.


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """Return a copy of Coarsefine to which the documentation's example was added."""
    folder = tmp_path_factory.mktemp("patched")
    shutil.copytree(PACKAGE, folder / "coarsefine", ignore=shutil.ignore_patterns("__pycache__"))
    name, *hunk = (EXAMPLES / "warmup.patch").read_text("utf-8").splitlines()[1:]
    path = folder / "coarsefine" / name.removeprefix("+++ b/")
    before, after = ("\n".join(line[1:] for line in hunk[1:] if line[:1] != sign) for sign in "+-")
    text = path.read_text("utf-8")
    assert text.count(before) == 1, "docs/examples/warmup.patch does not fit: make it again"
    path.write_text(text.replace(before, after), "utf-8")
    return folder


@pytest.fixture(scope="module")
def warmed(patched, tmp_path_factory):
    """Search the added setting with two worker processes; return the folder and the copy of Coarsefine."""
    folder = write_campaign(tmp_path_factory.mktemp("warmed"), model={"epochs": 4}, stage={"coarse": {"stack": 2}})
    _insert(folder / "small.toml", "warmup = { integer = [0, 3], step = 1 }")
    answer = coarsefine_process("run", "small.toml", "--workers", 2, cwd=folder, env={"PYTHONPATH": str(patched)})
    assert answer.returncode == 0, answer.stderr
    return folder, patched


def answers_of(site, folder, *commands):
    """Run commands in one new process, with what is installed in a folder; return what each prints."""
    environment = {**os.environ, **environment_with(site, SUPPORT)}
    command = [sys.executable, "-c", ANSWER_ALL, json.dumps(commands)]
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    answers = [Answer(*answer) for answer in json.loads(found.stdout)]
    assert not any(answer.returncode for answer in answers), answers
    return [answer.stdout for answer in answers]


def test_added_setting_is_searched(warmed):
    """A setting of one declaration and its formula is drawn, trained, exported, carded, reported and shown."""
    folder, patched = warmed
    commands = (
        ("status", "small", "--json"),
        ("best", "small"),
        ("export", "small", "--output", "export.json"),
        ("report", "small", "--output", "report.html"),
    )
    status, best, *_ = answers_of(patched, folder, *commands)
    record = json.loads(status)
    assert record["stages"][0]["space"]["warmup"] == {"integer": [0, 3], "step": 1}
    assert list(record["winner"]["params"]) == ["eta", "lambda", "warmup"]
    assert record["final"]["reproduction"]["exact"]
    points = [params for _, params, *_ in table(folder / "studies.db").values()]
    assert {point["warmup"] for point in points} == {0, 1, 2, 3}
    winner = record["winner"]["params"]["warmup"]
    assert f"warm-up = {winner}" in best
    assert json.loads((folder / "export.json").read_text("utf-8"))["settings"]["warmup"] == winner
    assert f"Further settings: warm-up = {winner}." in next(folder.glob("trained/*/MODEL_CARD.md")).read_text("utf-8")
    assert "the L2 weight λ and the length of the warm-up of a two-layer network" in (folder / "report.html").read_text(
        "utf-8"
    )


def test_added_setting_is_checked(patched, tmp_path):
    """The bounds of the declaration hold for ranges and values, and the key is listed with the others."""
    lines = {
        "range": ("warmup = { integer = [0, 1001], step = 1 }",),
        "kind": ("warmup = [1, 5]",),
        "value": ("warmup = -1", "[model]"),
        "key": ("warmupp = 1", "[model]"),
    }
    for name, line in lines.items():
        (tmp_path / f"{name}.toml").write_text(campaign_toml(), "utf-8")
        _insert(tmp_path / f"{name}.toml", *line)
    found = loaded_by({"PYTHONPATH": str(patched)}, tmp_path)
    assert "warmup = 1001 makes no sense: it must be 0 to 1000" in found["range"]
    assert "warmup is a whole number: write { integer = [low, high], step = 1 }" in found["kind"]
    assert found["value"] == "model, warmup = -1: must be greater than or equal to 0."
    assert "(known: eta, lambda, rho, decay, warmup, hidden, batch, epochs," in found["key"]


def test_default_of_an_added_setting_changes_no_bit(patched, searched, tmp_path):
    """A campaign that does not name the added setting records the same values as before, and its export trains them."""
    shutil.copy(searched / "small.toml", tmp_path)
    answer = coarsefine("export", "small", "--output", tmp_path / "before.json", cwd=searched)
    assert answer.returncode == 0, answer.stderr
    assert "warmup" not in json.loads((tmp_path / "before.json").read_text("utf-8"))["settings"]
    _, trained = answers_of(patched, tmp_path, ("run", "small.toml", "--workers", 1), ("train", "before.json"))
    assert table(tmp_path / "studies.db") == table(searched / "studies.db")
    assert "reproduced to the bit" in trained


# Settings of other packages.


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install the example of the documentation."""
    return install_example(tmp_path_factory.mktemp("site"), "half_life")


@pytest.fixture(scope="module")
def ran(site, tmp_path_factory):
    """Run the example's campaign with two worker processes; return the folder."""
    folder = tmp_path_factory.mktemp("half_life")
    shutil.copy(EXAMPLES / "half_life" / "half_life.toml", folder)
    command = ("run", "half_life.toml", "--workers", 2)
    answer = coarsefine_process(*command, cwd=folder, env=environment_with(site))  # settings are found at the start
    assert answer.returncode == 0, answer.stderr
    assert re.search(r"Winner: trial .*, η = [\d.]+, T½ = [\d.]+, validation", answer.stdout)
    return folder


def loaded_by(environment, folder):
    """Run each campaign of a folder in one process; return the state or error of each."""
    command = [sys.executable, "-c", LOAD_ALL]
    environment = {**os.environ, **environment}
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def exported(ran, site, tmp_path_factory):
    """Run the example's campaign with one process, where the package is installed, and export its winner."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copy(ran / "half_life.toml", folder)
    run = ("run", "half_life.toml", "--workers", 1)
    answers_of(site, folder, run, ("export", "half-life", "--output", "export.json"))
    return folder / "export.json"


def test_setting_of_another_package_sets_another(ran, exported):
    """The decay of each trial follows from its half-life: the values are those of a campaign that gives the decay."""
    rows = table(ran / "studies.db")
    assert table(exported.parent / "studies.db") == rows
    export = json.loads(exported.read_text("utf-8"))
    assert export["settings"]["decay"] == 0.5 ** (1 / export["trial"]["params"]["half_life"])
    assert export["versions"]["coarsefine-half-life"] == "1.0"


def test_export_trains_without_the_package(exported, tmp_path):
    """An export holds the decay, so that it is trained to the same bits where the package is missing."""
    answer = forked_command("train", exported, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "reproduced to the bit" in answer.stdout + answer.stderr


def test_campaign_needs_the_package(ran):
    """Where the package is missing, results are read; what needs the setting's function says what is missing."""
    for command in ("status", "best"):
        answer = coarsefine(command, "half-life", cwd=ran)
        assert answer.returncode == 0, answer.stderr
        assert "half_life" in answer.stdout
    answer = coarsefine("report", "half-life", "--output", "report.html", cwd=ran)
    assert answer.returncode == 0, answer.stderr
    answer = coarsefine("export", "half-life", "--as", "params", cwd=ran)
    assert answer.returncode == 0, answer.stderr
    assert "half_life" in answer.stdout
    for command in (("export", "half-life"), ("worker", "half-life")):
        answer = coarsefine(*command, cwd=ran)
        assert answer.returncode == 2
        assert answer.stderr == "half-life/coarse needs coarsefine-half-life 1.0: install what is missing.\n"
    answer = coarsefine("run", "half_life.toml", cwd=ran)
    assert answer.returncode == 2
    assert "unknown key 'half_life' in stage 1: remove it, or correct its spelling (known: name, " in answer.stderr


@pytest.mark.parametrize("sets", ["decay", "eta"])
def test_stage_of_one_missing_setting_is_read(sets):
    """A stored campaign is read without the package of the only setting that its first stage searches."""
    config = Campaign.load("digits").as_stored()
    stage = {name: value for name, value in config["stage"][0].items() if name not in NAMES}
    ranges = {"missing": [1.0, 2.0]} if sets == "eta" else {"missing": [1.0, 2.0], "eta": None}
    model = {**config["model"], **({} if sets == "eta" else {"eta": 0.1}), "lambda": 0.0}
    stored = {**config, "model": model, "stage": [{**stage, **ranges}], "confirm": None}
    assert Campaign.from_stored(stored).stage[0].name == stage["name"]
    with pytest.raises(ValidationError):
        Campaign.from_stored(stored, extra="forbid")


def test_names_that_settings_cannot_have(tmp_path, monkeypatch):
    """The error for a key that another package's setting cannot have says why, as the doctor does."""
    made = "from coarsefine import NetworkSetting\n"
    made += "IT = NetworkSetting(symbol='s', title='t', noun='n', help='What it does.', sets='rho', value=max)\n"
    names = {"half-life": "must be letters,", "copy": "is taken by pydantic", "epochs": "is a key of stages or [model]"}
    entries = {SETTINGS.name: dict.fromkeys([*names, "good"], "odd_names:IT")}
    install(tmp_path / "site", "odd-names", entries, odd_names=made)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delenv("COARSEFINE_DATA", raising=False)
    found = {finding.check: finding for finding in examine(at_file(tmp_path / "studies.db"), None)}
    assert found["network setting good"].found == "What it does; sets rho, of odd-names 1.0"
    for name, reason in names.items():
        words = f"etwork setting '{name}' of odd-names 1.0 cannot be used, because its name {reason}"
        (tmp_path / "small.toml").write_text(campaign_toml(), "utf-8")
        _insert(tmp_path / "small.toml", f"{name} = [1, 2]")
        with pytest.raises(CampaignError) as error:
            Campaign.load(tmp_path / "small.toml")
        assert words in str(error.value)
        assert found[f"network setting {name}"].verdict == "unfit"
        assert words in found[f"network setting {name}"].found


def test_doctor_lists_what_other_packages_bring(tmp_path, monkeypatch):
    """The doctor names samplers, pruners and settings with their package, and says that one cannot be used."""
    monkeypatch.delenv("COARSEFINE_DATA", raising=False)
    for name in ("halton", "near_best", "half_life"):
        monkeypatch.syspath_prepend(str(install_example(tmp_path / name, name)))
    install(tmp_path / "site", "broken", {"coarsefine.samplers": {"unusable": "nowhere:sample"}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = {finding.check: finding for finding in examine(at_file(tmp_path / "studies.db"), None)}
    assert found["sampler halton"].found == "of coarsefine-halton 1.0"
    assert found["pruner near_best"].found == "of coarsefine-near-best 1.0"
    assert "Number of epochs after which η is halved; sets decay, of coarsefine-half-life" in (
        found["network setting half_life"].found
    )
    assert (found["sampler unusable"].verdict, found["sampler unusable"].exit_code) == ("unfit", 2)


@pytest.mark.parametrize("part", ["name='x'", "field='rho'", "default=1.0", "simplest=Simplest(1, 'the least')"])
def test_part_without_effect_is_refused(tmp_path, monkeypatch, part):
    """What a setting of another package cannot say is refused, not ignored."""
    made = "from coarsefine import NetworkSetting\nfrom coarsefine.model.network_setting import Simplest\n"
    made += f"IT = NetworkSetting(symbol='s', title='t', noun='n', help='h', sets='rho', value=max, {part})\n"
    module = f"with_{part.partition('=')[0]}"
    install(tmp_path / "site", "made-setting", {SETTINGS.name: {module: f"{module}:IT"}}, **{module: made})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ExtensionError, match=rf"has `{part.partition('=')[0]}`, which has no effect in a setting of"):
        setting(module)


def test_settings_of_other_packages_are_checked(site, tmp_path):
    """What another package brings, and the values that it sets, are refused with a sentence each."""
    made = "from coarsefine import NetworkSetting\ndef a(sets, value=lambda own, others: own):\n"
    made += "    return NetworkSetting(symbol='s', title='t', noun='n', help='h', least=0, sets=sets, value=value)\n"
    made += "number, batch, fails = 3, a('batch'), a('rho', lambda own, others: 1 / 0)\n"
    made += "negative, other = a('rho', lambda own, others: -own), a('decay')\n"
    made += "scaled = a('eta', lambda own, others: own * others['batch'])\n"
    names = ("number", "batch_", "fails", "negative", "scaled", "other", "epochs", "eta", "model_x")
    entries = {SETTINGS.name: {name: f"made:{name.rstrip('_')}" for name in names}}
    install(tmp_path / "site", "made-settings", entries, made=made)
    folder = tmp_path / "campaigns"
    folder.mkdir()
    for name, line in {
        "number": "number = [1, 2]",
        "batch": "batch_ = [1, 2]",
        "fails": "fails = [0.1, 0.2]",
        "negative": "negative = [0.1, 0.2]",
        "scaled": "scaled = [0.001, 0.002]",  # with eta, which it sets
        "outside": "other = { uniform = [-1, 2] }",
        "searched": "other = [0.1, 0.2]\ndecay = [0.1, 0.2]",
        "twice": "other = [0.1, 0.2]\nhalf_life = [1, 2]",
    }.items():
        (folder / f"{name}.toml").write_text(campaign_toml(), "utf-8")
        _insert(folder / f"{name}.toml", line)
    text = campaign_toml(stage={"coarse": {"eta": None, "trials": 4}, "fine": {"trials": 3}}, model={"epochs": 1})
    (folder / "good.toml").write_text(text, "utf-8")
    _insert(folder / "good.toml", "scaled = [0.001, 0.002]")
    found = loaded_by(environment_with(tmp_path / "site", site), folder)
    named = "of made-settings 1.0"
    expected = {
        "number": f"stage 1, number = [1, 2]: network setting 'number' {named} (made:number) is not a NetworkSetting:",
        "batch": f"network setting 'batch_' {named} (made:batch) sets 'batch', which is none of a trial's settings",
        "fails": f"The network setting 'fails' {named} failed: ZeroDivisionError: division by zero.",
        "negative": f"The network setting 'negative' {named} with the value 0.1",
        "scaled": "scaled sets eta, which is searched: remove one.",
        "outside": "other = -1.0 makes no sense: it must be 0 or above",
        "searched": "other sets decay, which is searched: remove one.",
        "twice": "half_life and other both set decay: remove one.",
        "good": "done",
    }
    assert found.keys() == expected.keys()
    for name, words in expected.items():
        assert words in found[name]
    assert re.search(r" sets rho to -0\.1\d*, which must be 0 or above, and below 1\.$", found["negative"])
