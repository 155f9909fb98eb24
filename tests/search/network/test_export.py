import hashlib
import json
import math

import optuna
import pytest
from campaigns import write_campaign
from commands import coarsefine

from coarsefine.model.datasets import load_digits
from coarsefine.model.errors import DataError
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.run import run
from coarsefine.search.errors import Interrupted, UsageError
from coarsefine.search.network.export import read_export, write_export
from coarsefine.search.network.measurement import reproduce

CONFIRMED = {"confirm": {"top": 3, "seeds": 3}, "final": {"seeds": 2}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with the small campaign and its finalists, done, and its export."""
    folder = write_campaign(tmp_path_factory.mktemp("exported"), **CONFIRMED)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    answer = coarsefine("export", "small", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return folder


@pytest.fixture
def exported(done):
    """What the export holds."""
    return json.loads((done / "exports" / "small.json").read_text("utf-8"))


def sealed(told):
    """Return an export with the digest that fits what it now says, as a careful forger would."""
    rest = {key: value for key, value in told.items() if key not in {"digest", "platform"}}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return {**told, "digest": digest}


def test_export_holds_all_that_the_winner_follows_from(done, exported):
    """Point, seed, settings, every epoch's value, lineage, evidence, data, versions: as the studies have them."""
    told = json.loads(coarsefine("status", "--json", cwd=done).stdout)
    trial = exported["trial"]
    study = optuna.load_study(study_name=trial["study"], storage=f"sqlite:///{done / 'studies.db'}")
    kept = study.trials[trial["number"]]
    assert (trial["study"].partition("/")[2], trial["number"]) == (told["winner"]["stage"], told["winner"]["number"])
    assert trial["params"] == kept.params
    assert trial["seed"] == kept.user_attrs["seed"]
    assert trial["values"] == list(kept.intermediate_values.values())
    assert (exported["settings"]["hidden"], exported["settings"]["batch"]) == (10, 50)
    assert [one["stage"] for one in exported["lineage"]] == ["coarse", "fine", "confirm"]
    assert exported["evidence"] == told["confirm"]
    assert exported["data"]["digest"] == load_digits().digest
    assert exported["versions"].keys() == {"coarsefine", "numpy", "scipy"}
    assert exported["final"] == {"epochs": 4, "seeds": 2, "decay": None, "on_validation": False}


def test_same_winner_gives_the_same_file(done, exported):
    """Exported again, a campaign gives the same bytes; and its final training has the same export beside it."""
    before = (done / "exports" / "small.json").read_bytes()
    answer = coarsefine("export", "--output", "again.json", "--json", cwd=done)
    assert json.loads(answer.stdout) == {
        "export": "again.json", "digest": exported["digest"], "params": exported["trial"]["params"],
    }  # fmt: skip
    assert (done / "again.json").read_bytes() == before
    (beside,) = (done / "trained").glob("*/export.json")
    assert beside.read_bytes() == before


def test_any_trial_can_be_exported(done):
    """A trial is named by its study or its stage; a finalist's own mini-batches are those it was trained with."""
    for name, seeded in (("small/fine#2", False), ("fine#2", False), ("confirm#4", True)):
        answer = coarsefine("export", "--trial", name, "--output", "one.json", cwd=done)
        assert answer.returncode == 0, answer.stderr
        export = read_export(done / "one.json")
        assert export.evidence is None
        assert (export.settings.order_seed == export.trial.seed) is seeded
        assert reproduce(export, load_digits(), lambda: False).exact


def test_parameters_for_training_code_of_ones_own(done, exported):
    """As a dict of parameters, and as lines for a shell: numbers to the last bit."""
    params = exported["trial"]["params"]
    assert json.loads(coarsefine("export", "--as", "params", cwd=done).stdout) == params
    lines = coarsefine("export", "--as", "env", cwd=done).stdout.splitlines()
    told = dict(line.removeprefix("export ").split("=") for line in lines)
    assert {key: float(value) for key, value in told.items()} == {
        "COARSEFINE_ETA": params["eta"], "COARSEFINE_LAMBDA": params["lambda"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["fine#99", "fine#-1", "fine", "#1", "nowhere#1", "fine#²", "fine#" + "9" * 5000])
def test_trial_that_is_not_there_is_refused(done, name):
    """The answer names what was asked for, and what there is."""
    answer = coarsefine("export", "--trial", name, "--output", "none.json", cwd=done)
    assert answer.returncode == 2
    assert f"no trial '{name[:80]}'" in answer.stderr
    assert "small/fine#0 to #5" in answer.stderr
    assert not (done / "none.json").exists()


def test_campaign_that_has_not_ended_is_told(small, tmp_path):
    """A winner is exported when all stages have ended; the answer says which has not, and what to do."""
    answers = iter([False] * 12)
    with pytest.raises(Interrupted):
        run(small, tmp_path / "studies.db", stop=lambda: next(answers, True))
    answer = coarsefine("export", cwd=tmp_path)
    assert answer.returncode == 2
    assert "has not ended: finish it with `coarsefine run`, or name one of its trials with --trial" in answer.stderr


def nested(told, path, value):
    """Return a copy with another value at a path; None takes the key out."""
    copy = json.loads(json.dumps(told))
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
    """Whatever was changed is named, with exit code 2, and nothing is trained."""
    path, value, told = TAMPERED[change]
    (tmp_path / "bad.json").write_text(json.dumps(nested(exported, path, value)), "utf-8")
    code, _, err = cli("train", "bad.json")
    assert code == 2
    assert told in err
    assert "Traceback" not in err
    assert [file.name for file in tmp_path.iterdir()] == ["bad.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_file_that_is_no_export_is_refused(cli, tmp_path, content):
    """Another file is told for what it is, with exit code 2; so is one that is not there."""
    (tmp_path / "bad.json").write_bytes(content)
    for name in ("bad.json", "missing.json"):
        code, _, err = cli("train", name)
        assert (code, name in err, "Traceback" in err) == (2, True, False)


SEALED = {
    "a path for a name": (["campaign", "name"], "../../escaped", "campaign, name = '../../escaped'"),
    "another parameter": (["trial", "params", "eta"], 0.5, "its parameter eta is 0.5, but it was trained with"),
    "another study": (["trial", "study"], "other/fine", "which is not stage"),
    "no verdict": (["evidence", "verdict"], None, "'verdict' is missing in evidence"),
    "half an interval": (["evidence", "finalists", 0, "confirmed"], {"mean": 1.0}, "'error' is missing"),
    "no space": (["lineage", 0, "space", "eta"], ["a", "b"], "lineage 1"),
    "too many values": (["trial", "values"], [0.5] * 9, "9 values, of 3 epochs"),
    "true": (["coarsefine_export"], True, "coarsefine_export = True"),
}


@pytest.mark.parametrize("change", SEALED)
def test_export_that_cannot_be_is_refused_though_sealed(exported, cli, tmp_path, change):
    """A forger who seals it again gets no farther: each part must be what it can be, before anything is trained."""
    path, value, told = SEALED[change]
    (tmp_path / "bad.json").write_text(json.dumps(sealed(nested(exported, path, value))), "utf-8")
    code, _, err = cli("train", "bad.json")
    assert code == 2
    assert told in err
    assert "Traceback" not in err
    assert [file.name for file in tmp_path.iterdir()] == ["bad.json"]


def test_platform_is_no_part_of_the_digest(exported, tmp_path):
    """On another machine the same trial has the same digest: a final training that was begun there is gone on with."""
    moved = {**exported, "platform": "elsewhere"}
    (tmp_path / "moved.json").write_text(json.dumps(moved), "utf-8")
    assert read_export(tmp_path / "moved.json").digest == exported["digest"]


def test_nothing_but_an_export_is_overwritten(done):
    """A file of another kind stays as it is; a named trial does not take the winner's place."""
    (done / "mine.json").write_text("mine", "utf-8")
    answer = coarsefine("export", "--output", "mine.json", cwd=done)
    assert answer.returncode == 2
    assert "is not an export, so it is not overwritten" in answer.stderr
    assert (done / "mine.json").read_text("utf-8") == "mine"
    before = (done / "exports" / "small.json").read_bytes()
    assert coarsefine("export", "--trial", "fine#3", cwd=done).returncode == 0
    assert (done / "exports" / "small.json").read_bytes() == before
    assert (done / "exports" / "small-fine-3.json").exists()


@pytest.mark.parametrize("options", [("--output", ""), ("--output", "."), ("--as", "env", "--output", "x.json")])
def test_output_that_cannot_be_is_refused(done, options):
    """A file without a name, or one that is not written, is a sentence with exit code 2."""
    answer = coarsefine("export", *options, cwd=done)
    assert (answer.returncode, "--output" in answer.stderr, "Traceback" in answer.stderr) == (2, True, False)


def test_other_images_are_refused(exported, cli, tmp_path):
    """An export of other images, sealed as it should be, is refused with exit code 4: both digests are named."""
    other = nested(exported, ["data", "digest"], "ab" * 32)
    (tmp_path / "other.json").write_text(json.dumps(sealed(other)), "utf-8")
    code, _, err = cli("train", "other.json")
    assert code == 4
    assert "abababababab…" in err
    assert load_digits().digest[:12] in err


def test_values_that_cannot_be_reproduced_are_refused(exported, cli, tmp_path):
    """Values better than the setting gives, sealed as they should be, are found out where products round alike."""
    other = nested(exported, ["trial", "values", 1], exported["trial"]["values"][1] + 1 / 300)
    (tmp_path / "other.json").write_text(json.dumps(sealed(other)), "utf-8")
    code, _, err = cli("train", "other.json")
    assert code == 4
    assert "cannot be reproduced: epoch 2 gave" in err


def test_machine_that_rounds_otherwise_has_a_tolerance(exported, tmp_path):
    """What another machine made is accepted within five points of accuracy, and said to be so; no farther off."""
    far = {**exported, "trial": {**exported["trial"], "arithmetic": "another"}}
    far["trial"]["values"] = [value - 0.02 for value in far["trial"]["values"]]
    (tmp_path / "far.json").write_text(json.dumps(sealed(far)), "utf-8")
    found = reproduce(read_export(tmp_path / "far.json"), load_digits(), lambda: False)
    assert (found.exact, found.like) == (False, False)
    assert found.difference == pytest.approx(0.02)
    assert "to within 2.00 points, on a machine or with versions that round otherwise" in found.words
    far["trial"]["values"][0] -= 0.05
    (tmp_path / "far.json").write_text(json.dumps(sealed(far)), "utf-8")
    with pytest.raises(DataError, match=r"rounding explains 0\.05 at most"):
        reproduce(read_export(tmp_path / "far.json"), load_digits(), lambda: False)


def test_reading_gives_what_was_written(done, tmp_path):
    """An export survives the way through its file."""
    export = read_export(done / "exports" / "small.json")
    write_export(export, tmp_path / "deep" / "copy.json")
    assert read_export(tmp_path / "deep" / "copy.json") == export
    with pytest.raises(UsageError):
        read_export(tmp_path)
