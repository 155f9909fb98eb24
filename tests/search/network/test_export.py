"""`coarsefine export`: content, validation and reproduction of exports."""

import hashlib
import json
import math
import platform

import optuna
import pytest
from campaigns import write_campaign
from commands import coarsefine, coarsefine_process

from coarsefine.model.arithmetic import has_kernel, instruction_set
from coarsefine.model.datasets import load_digits
from coarsefine.model.errors import DataError
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.run import run
from coarsefine.search.errors import Interrupted, UsageError
from coarsefine.search.network.export import check_target, read_export, write_export
from coarsefine.search.network.final_training import reproduce

CONFIRMED = {"confirm": {"top": 3, "seeds": 3}, "final": {"seeds": 2}}


@pytest.fixture(scope="module")
def campaign_folder(tmp_path_factory):
    """Run the small campaign with its finalists and export its winner; return the folder."""
    folder = write_campaign(tmp_path_factory.mktemp("exported"), **CONFIRMED)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    result = coarsefine("export", "small", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def exported(campaign_folder):
    """Return the content of the export."""
    return json.loads((campaign_folder / "exports" / "small.json").read_text("utf-8"))


def with_valid_digest(export):
    """Return an export with a digest that matches its changed content, as a forger would write it."""
    rest = {key: value for key, value in export.items() if key not in {"digest", "platform"}}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return {**export, "digest": digest}


def test_setting_chosen_as_a_whole_number_is_exported_and_read(tmp_path):
    """A setting of real numbers whose option is written without a point, `rho = 0`, does not spoil the digest."""
    coarse = {"trials": 1, "rho": {"choice": [0]}, "eta": [0.01, 0.1], "lambda": [1e-4, 1e-3]}
    folder = write_campaign(tmp_path, stage={"coarse": coarse, "fine": None})
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    for file in ("one.json", "two.json"):
        assert coarsefine("export", "small", "--output", file, cwd=folder).returncode == 0
    export = read_export(folder / "one.json")
    assert export.trial.params["rho"] == 0
    assert (folder / "one.json").read_text("utf-8") == (folder / "two.json").read_text("utf-8")


def test_export_contains_everything_about_the_winner(campaign_folder, exported):
    """The export has the winner's parameters, seed, settings, values, stages, evidence, data and versions."""
    status = json.loads(coarsefine("status", "--json", cwd=campaign_folder).stdout)
    trial = exported["trial"]
    study = optuna.load_study(study_name=trial["study"], storage=f"sqlite:///{campaign_folder / 'studies.db'}")
    stored = study.trials[trial["number"]]
    winner = status["winner"]
    assert (trial["study"].partition("/")[2], trial["number"]) == (winner["stage"], winner["number"])
    assert trial["params"] == stored.params
    assert trial["seed"] == stored.user_attrs["seed"]
    assert trial["values"] == list(stored.intermediate_values.values())
    assert (exported["settings"]["hidden"], exported["settings"]["batch"]) == (10, 50)
    assert [stage["stage"] for stage in exported["lineage"]] == ["coarse", "fine", "confirm"]
    assert exported["evidence"] == status["confirm"]
    assert exported["data"]["digest"] == load_digits().digest
    assert exported["versions"].keys() == {"coarsefine", "numpy", "scipy"}
    assert exported["final"] == {"epochs": 4, "seeds": 2, "decay": None, "on_validation": False}


def test_repeated_export_is_identical(campaign_folder, exported):
    """A second export, and the export that the final training stores, have the same bytes as the first."""
    before = (campaign_folder / "exports" / "small.json").read_bytes()
    result = coarsefine("export", "--output", "again.json", "--json", cwd=campaign_folder)
    assert json.loads(result.stdout) == {
        "export": "again.json", "digest": exported["digest"], "params": exported["trial"]["params"],
    }  # fmt: skip
    assert (campaign_folder / "again.json").read_bytes() == before
    (stored,) = (campaign_folder / "trained").glob("*/export.json")
    assert stored.read_bytes() == before


def test_any_trial_can_be_exported(campaign_folder):
    """A trial is named by study or stage, and can be reproduced; a finalist keeps its own mini-batch order."""
    for name, seeded in (("small/fine#2", False), ("fine#2", False), ("confirm#4", True)):
        result = coarsefine("export", "--trial", name, "--output", "one.json", cwd=campaign_folder)
        assert result.returncode == 0, result.stderr
        export = read_export(campaign_folder / "one.json")
        assert export.evidence is None
        assert (export.settings.order_seed == export.trial.seed) is seeded
        assert reproduce(export, load_digits(), lambda: False).exact


def test_parameters_can_be_exported_alone(campaign_folder, exported):
    """The parameters can be printed as JSON or as lines for a shell, with every digit."""
    params = exported["trial"]["params"]
    assert json.loads(coarsefine("export", "--as", "params", cwd=campaign_folder).stdout) == params
    lines = coarsefine("export", "--as", "env", cwd=campaign_folder).stdout.splitlines()
    variables = dict(line.removeprefix("export ").split("=") for line in lines)
    assert {key: float(value) for key, value in variables.items()} == {
        "COARSEFINE_PARAM_ETA": params["eta"], "COARSEFINE_PARAM_LAMBDA": params["lambda"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fine#99", "There is no trial 'fine#99': the campaign has coarse#0 to #8, fine#0 to #5"),
        ("nowhere#1", "There is no trial 'nowhere#1'"),
        ("fine#-1", "'fine#-1' names no trial: give STAGE#NUMBER, such as coarse#7."),
        ("fine", "'fine' names no trial"),
        ("#1", "'#1' names no trial"),
        ("fine#²", "'fine#²' names no trial"),
        ("fine#" + "9" * 5000, f"'fine#{'9' * 75}' names no trial"),
    ],
)
def test_missing_trial_is_refused(campaign_folder, name, sentence):
    """The error names the trials that exist or, if the text names no trial, how to name one."""
    result = coarsefine("export", "--trial", name, "--output", "none.json", cwd=campaign_folder)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence)
    assert not (campaign_folder / "none.json").exists()


def test_unfinished_campaign_is_not_exported(small, tmp_path):
    """Exporting the winner of an unfinished campaign is refused with the remedy."""
    answers = iter([False] * 12)
    with pytest.raises(Interrupted):
        run(small, tmp_path / "studies.db", stop=lambda: next(answers, True))
    result = coarsefine("export", cwd=tmp_path)
    assert result.returncode == 2
    assert "has not ended: finish it with `coarsefine run`, or name one of its trials with --trial" in result.stderr


def with_value_at(export, path, value):
    """Return a copy with another value at a path, or without the key if the value is None."""
    copy = json.loads(json.dumps(export))
    *parents, last = path
    part = copy
    for key in parents:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return copy


TAMPERED = {
    "another ρ": (["settings", "rho"], 0.5, "changed after it was exported"),
    "another digest": (["digest"], "0" * 64, "changed after it was exported"),
    "better evidence": (["evidence", "verdict"], "A clear winner.", "changed after it was exported"),
    "no seed": (["trial", "seed"], None, "'seed' is missing in trial"),
    "no digest": (["digest"], None, "'digest' is missing"),
    "NaN": (["trial", "values", 0], math.nan, "holds NaN"),
    "infinite": (["settings", "eta"], math.inf, "holds Infinity"),
    "negative": (["settings", "lambda"], -1.0, "settings, lambda = -1.0"),
    "text": (["settings", "hidden"], "ten", "settings, hidden = 'ten'"),
    "an unknown key": (["trial", "colour"], "red", "unknown key 'colour' in trial"),
    "a newer schema": (["coarsefine_export"], 2, "schema version 2, and this Coarsefine reads 1: update it"),
    "no schema": (["coarsefine_export"], None, "no 'coarsefine_export'"),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_tampered_export_is_refused_with_the_difference(exported, cli, tmp_path, change):
    """The error names what was changed, the exit code is 2, and nothing is trained."""
    path, value, message = TAMPERED[change]
    (tmp_path / "bad.json").write_text(json.dumps(with_value_at(exported, path, value)), "utf-8")
    code, _, err = cli("train", "bad.json")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert [file.name for file in tmp_path.iterdir()] == ["bad.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_invalid_export_file_is_refused(cli, tmp_path, content):
    """A file that is missing or not an export is refused with exit code 2."""
    (tmp_path / "bad.json").write_bytes(content)
    for name in ("bad.json", "missing.json"):
        code, _, err = cli("train", name)
        assert (code, name in err, "Traceback" in err) == (2, True, False)
        assert "Name a file that `coarsefine export` has written" in err


FORGED = {
    "a path for a name": (["campaign", "name"], "../../escaped", "campaign, name = '../../escaped'"),
    "another parameter": (["trial", "params", "eta"], 0.5, "its parameter eta is 0.5, but it was trained with"),
    "another study": (["trial", "study"], "other/fine", "which is not stage"),
    "no verdict": (["evidence", "verdict"], None, "'verdict' is missing in evidence"),
    "a winner": (["evidence", "winner"], {}, "is calculated, not read: remove it"),
    "an accuracy above 1": (["evidence", "finalists", 0, "value"], 7.0, "has the accuracy 7.0, not from 0 to 1"),
    "an accuracy below 0": (["evidence", "finalists", 0, "values", 0], -0.5, "the accuracy -0.5, not from 0 to 1"),
    "half an interval": (["evidence", "finalists", 0, "confirmed"], {"mean": 1.0}, "'error' is missing"),
    "no space": (["lineage", 0, "space", "eta"], ["a", "b"], "lineage 1"),
    "too many values": (["trial", "values"], [0.5] * 9, "9 values, of 3 epochs"),
    "true": (["coarsefine_export"], True, "coarsefine_export = True"),
}


@pytest.mark.parametrize("change", FORGED)
def test_forged_export_is_refused(exported, cli, tmp_path, change):
    """Impossible values are refused before training even if the digest matches."""
    path, value, message = FORGED[change]
    (tmp_path / "bad.json").write_text(json.dumps(with_valid_digest(with_value_at(exported, path, value))), "utf-8")
    code, _, err = cli("train", "bad.json")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert [file.name for file in tmp_path.iterdir()] == ["bad.json"]


def test_platform_has_the_instruction_set(exported, campaign_folder):
    """The export names the kernel's instruction set, on which its digest does not depend; NumPy has none."""
    here, without = f"Python {platform.python_version()}", {"COARSEFINE_KERNEL": "none"}
    assert exported["platform"].endswith(f"{here}, {instruction_set()}" if has_kernel() else here)
    answer = coarsefine_process("export", "small", "--output", "numpy.json", cwd=campaign_folder, env=without)
    assert answer.returncode == 0, answer.stderr
    again = json.loads((campaign_folder / "numpy.json").read_text("utf-8"))
    assert again["platform"].endswith(here)
    assert again == {**exported, "platform": again["platform"]}


def test_digest_excludes_the_platform(exported, tmp_path):
    """The same trial has the same digest on every machine, so that another machine can resume its training."""
    moved = {**exported, "platform": "elsewhere"}
    (tmp_path / "moved.json").write_text(json.dumps(moved), "utf-8")
    assert read_export(tmp_path / "moved.json").digest == exported["digest"]


def test_only_exports_are_overwritten(campaign_folder):
    """An export overwrites no other file, and a named trial does not overwrite the winner's export."""
    (campaign_folder / "mine.json").write_text("mine", "utf-8")
    result = coarsefine("export", "--output", "mine.json", cwd=campaign_folder)
    assert result.returncode == 2
    assert "is not an export, so it is not overwritten" in result.stderr
    assert (campaign_folder / "mine.json").read_text("utf-8") == "mine"
    before = (campaign_folder / "exports" / "small.json").read_bytes()
    assert coarsefine("export", "--trial", "fine#3", cwd=campaign_folder).returncode == 0
    assert (campaign_folder / "exports" / "small.json").read_bytes() == before
    assert (campaign_folder / "exports" / "small-fine-3.json").exists()


@pytest.mark.parametrize("options", [("--output", ""), ("--output", "."), ("--as", "env", "--output", "x.json")])
def test_invalid_output_is_refused(campaign_folder, options):
    """An output without a file name, or one that is not used, is refused with exit code 2."""
    result = coarsefine("export", *options, cwd=campaign_folder)
    assert (result.returncode, "--output" in result.stderr, "Traceback" in result.stderr) == (2, True, False)


def test_other_images_are_refused(exported, cli, tmp_path):
    """An export of other images is refused with exit code 4, and the error names both digests."""
    other = with_value_at(exported, ["data", "digest"], "ab" * 32)
    (tmp_path / "other.json").write_text(json.dumps(with_valid_digest(other)), "utf-8")
    code, _, err = cli("train", "other.json")
    assert code == 4
    assert "abababababab…" in err
    assert load_digits().digest[:12] in err


def test_values_that_cannot_be_reproduced_are_refused(exported, cli, tmp_path):
    """Forged values are refused on a machine with the same rounding, because training does not reproduce them."""
    other = with_value_at(exported, ["trial", "values", 1], exported["trial"]["values"][1] + 1 / 300)
    (tmp_path / "other.json").write_text(json.dumps(with_valid_digest(other)), "utf-8")
    code, _, err = cli("train", "other.json")
    assert code == 4
    assert "cannot be reproduced: epoch 2 gave" in err


def test_other_rounding_has_a_tolerance(exported, tmp_path):
    """Values from a machine that rounds differently may differ by five points, and the report says so."""
    far = {**exported, "trial": {**exported["trial"], "arithmetic": "another"}}
    far["trial"]["values"] = [value - 0.02 for value in far["trial"]["values"]]
    (tmp_path / "far.json").write_text(json.dumps(with_valid_digest(far)), "utf-8")
    found = reproduce(read_export(tmp_path / "far.json"), load_digits(), lambda: False)
    assert (found.exact, found.like) == (False, False)
    assert found.difference == pytest.approx(0.02)
    assert "to within 2.00 points, on a machine or with versions that round otherwise" in found.words
    far["trial"]["values"][0] -= 0.05
    (tmp_path / "far.json").write_text(json.dumps(with_valid_digest(far)), "utf-8")
    with pytest.raises(DataError, match=r"rounding explains 0\.05 at most"):
        reproduce(read_export(tmp_path / "far.json"), load_digits(), lambda: False)


def test_export_survives_writing_and_reading(campaign_folder, tmp_path):
    """An export that is written and read again is equal to the original."""
    export = read_export(campaign_folder / "exports" / "small.json")
    write_export(export, tmp_path / "deep" / "copy.json")
    assert read_export(tmp_path / "deep" / "copy.json") == export
    with pytest.raises(UsageError):
        read_export(tmp_path)


def test_export_of_another_campaign_is_not_overwritten(campaign_folder, tmp_path):
    """Two names may lead to one file: trial a#1 of x, and the winner of x-a-1. The first export stays."""
    write_export(read_export(campaign_folder / "exports" / "small.json"), path := tmp_path / "x-a-1.json")
    check_target(path)
    check_target(path, "small")
    with pytest.raises(UsageError, match="is an export of the campaign small, so it is not overwritten"):
        check_target(path, "x")
