"""Bad input: one sentence with a remedy, an exit code, and no created or changed file."""

import json
import sqlite3

import pytest
from campaigns import campaign_toml, write_campaign
from commands import coarsefine, coarsefine_process, drop_root_access


def is_one_sentence(text):
    """Return whether a message is one line that ends with a full stop, without a traceback."""
    lines = text.strip().splitlines()
    return len(lines) == 1 and "Traceback" not in text and lines[0].endswith((".", ".)"))


def coarse(changes):
    """Return changes of the coarse stage."""
    return {"stage": {"coarse": changes}}


def fine(changes):
    """Return changes of the fine stage."""
    return {"stage": {"fine": changes}}


def eta(value):
    """Return a change of the coarse stage's range of eta."""
    return coarse({"eta": value})


BAD_CAMPAIGNS = {
    "low above high": (eta([1.0, 0.01]), "stage 1, eta = [1.0, 0.01]: low must be below high"),
    "low equals high": (eta([0.1, 0.1]), "low must be below high"),
    "zero bound": (eta([0, 1.0]), "must be finite and above 0"),
    "negative bound": (eta([-0.1, 1.0]), "must be finite and above 0"),
    "NaN bound": (eta([float("nan"), 1.0]), "must be finite and above 0"),
    "infinite bound": (eta([0.1, float("inf")]), "must be finite and above 0"),
    "bounds as text": (eta(["a", "b"]), "a range is two numbers, [low, high]"),
    "bounds as booleans": (eta([False, True]), "a range is two numbers, [low, high]"),
    "one bound": (eta([0.1]), "a range is two numbers, [low, high]"),
    "bounds as number": (eta(0.1), "a range is two numbers, [low, high]"),
    "eta missing": (eta(None), "eta is neither searched nor fixed: give its range in the first stage, or its value in"),
    "lambda missing": (coarse({"lambda": None}), "lambda is neither searched nor fixed"),
    "fixed eta of zero": ({"model": {"eta": 0.0}}, "model, eta = 0.0: must be greater than 0"),
    "unknown kind of range": (eta({"normal": [0, 1]}), "a range is two numbers, [low, high] (log-uniform),"),
    "two kinds of range": (eta({"uniform": [0, 1], "choice": [1]}), "a range is two numbers"),
    "reversed uniform range": (eta({"uniform": [1, 0.5]}), "stage 1, eta: low must be below high"),
    "infinite uniform range": (eta({"uniform": [0.1, float("inf")]}), "both bounds must be finite"),
    "whole numbers for eta": (eta({"integer": [1, 5]}), "eta is a real number: write [low, high]"),
    "text for eta": (eta({"choice": ["low", "high"]}), "eta is a real number"),
    "eta of zero": (eta({"choice": [0, 0.1]}), "eta = 0 makes no sense: it must be above 0"),
    "step that does not lead from low to high": (
        coarse({"rho": {"uniform": [0.5, 0.9], "step": 0.3}}),
        "a whole number of steps of 0.3 must lead from 0.5 to 0.9",
    ),
    "real step of zero": (coarse({"rho": {"uniform": [0.5, 0.9], "step": 0.0}}), "step = 0.0 must be a number above 0"),
    "searched rho of one": (coarse({"rho": {"uniform": [0.5, 1.0]}}), "rho = 1.0 makes no sense: it must b"),
    "searched decay above one": (coarse({"decay": [0.5, 1.5]}), "decay = 1.5 makes no sense: it must be above"),
    "hidden as real numbers": (coarse({"hidden": [25, 200]}), "hidden is a whole number: write { integer ="),
    "no hidden units": (coarse({"hidden": {"integer": [0, 4]}}), "hidden = 0 makes no sense: it must be 1"),
    "step that does not divide the range": (
        coarse({"hidden": {"integer": [25, 190], "step": 50}}),
        "step = 50 must be 1",
    ),
    "step of zero": (coarse({"hidden": {"integer": [25, 50], "step": 0}}), "step = 0 must be 1 or above"),
    "step of a log range": (coarse({"hidden": {"integer": [2, 8], "step": 2, "log": True}}), "there is no st"),
    "integer range of fractions": (coarse({"hidden": {"integer": [2.5, 8]}}), "integer = [low, high] and ste"),
    "duplicate in a choice": (coarse({"hidden": {"choice": [25, 50, 25]}}), "25 is in the choice twice: remove"),
    "empty choice": (coarse({"hidden": {"choice": []}}), "a choice has at least one option"),
    "choice of lists": (coarse({"hidden": {"choice": [[1], [2]]}}), "a choice has at least one option, eac"),
    "searched batch too large": (
        coarse({"batch": {"choice": [50, 1500]}}),
        "stage 'coarse': batch = 1500 is larger than the 1197",
    ),
    "more searched later": (
        fine({"narrow": None, "hidden": {"choice": [5, 9]}}),
        "stage 'fine' searches hidden, and the first stage does",
    ),
    "unknown key at the top": (
        {"seed": None, "sead": 3},
        "unknown key 'sead': did you mean 'seed'? If not, remove it, or corr",
    ),
    "unknown key in a stage": (coarse({"etta": 1}), "unknown key 'etta' in stage 1"),
    "unknown key in the model": ({"model": {"hidden": None, "hiden": 10}}, "unknown key 'hiden' in model"),
    "zero trials": (coarse({"trials": 0}), "stage 1, trials = 0: must be greater than or equal to 1"),
    "negative trials": (coarse({"trials": -1}), "stage 1, trials = -1"),
    "fractional trials": (coarse({"trials": 2.5}), "stage 1, trials = 2.5: must be a whole number"),
    "trials as text": (coarse({"trials": "9"}), "stage 1, trials = '9': must be a whole number"),
    "duplicate stage": (fine({"name": "coarse"}), "two stages are named 'coarse'"),
    "missing parent": (fine({"parent": "rough"}), "parent = 'rough' is not an earlier stage"),
    "later parent": (coarse({"parent": "fine"}), "parent = 'fine' is not an earlier stage (earlier: none"),
    "own parent": (fine({"parent": "fine"}), "parent = 'fine' is not an earlier stage"),
    "first stage narrows": (
        coarse({"eta": None, "lambda": None, "narrow": {}}),
        "has no parent to narrow or carry from",
    ),
    "no ranges": (fine({"narrow": None}), "give either ranges, such as eta = [0.001, 0.3], or [stage.n"),
    "both ranges": (fine({"carry": None, "eta": [0.01, 1.0], "lambda": [1e-06, 0.01]}), "give either ranges"),
    "carry above trials": (fine({"carry": 7}), "carry = 7 is more than its 6 trials"),
    "top of zero": (fine({"narrow": {"top": 0}}), "stage 2, narrow, top = 0"),
    "rho of one": ({"model": {"rho": 1.0}}, "model, rho = 1.0: must be less than 1"),
    "NaN decay": ({"model": {"decay": float("nan")}}, "model, decay = nan"),
    "unknown dataset": (
        {"data": {"dataset": "mnist"}},
        "data, dataset = 'mnist': there is no dataset 'mnist' (known: digits",
    ),
    "unknown sampler": (fine({"sampler": "tpe"}), "stage 2, sampler = 'tpe'"),
    "confirmed on one seed": ({"confirm": {"seeds": 1}}, "confirm, seeds = 1: must be greater than"),
    "zero finalists": ({"confirm": {"top": 0}}, "confirm, top = 0: must be greater than or equal to 1"),
    "unknown key in confirm": ({"confirm": {"folds": 3}}, "unknown key 'folds' in confirm"),
    "rungs without halving": (fine({"rungs": [1]}), "rungs and factor need pruner"),
    "unordered rungs": (
        fine({"pruner": "halving", "rungs": [2, 1]}),
        "rungs = [2, 1] must be epochs in rising order",
    ),
    "rung after the end": (fine({"pruner": "halving", "rungs": [3]}), "before its last epoch, 3"),
    "factor of one": (fine({"pruner": "halving", "factor": 1.0}), "stage 2, factor = 1.0"),
    "unknown pruner": (fine({"pruner": "median"}), "stage 2, pruner = 'median'"),
    "stack of zero": (coarse({"stack": 0}), 'stack = 0: a stack is "auto", or 1 to 1024 trials'),
    "stack as text": (coarse({"stack": "wide"}), "stack = 'wide': a stack is"),
    "narrow as number": (fine({"narrow": 3}), "narrow = 3: must be a section with keys of its own"),
    "misspelt lambda": (coarse({"lambda": None, "lam": [1e-06, 0.01]}), "unknown key 'lam' in stage 1"),
    "bounds too far apart": (eta([1e-300, 1e300]), "high is more than 10^308 times low"),
    "bound of 400 digits": (eta([1, 10**400 - 1]), "must be finite and above 0"),
    "unknown batch": ({"data": {"train": ["data_batch_9"]}}, "data, train 1 = 'data_batch_9'"),
    "digits held out": ({"data": {"held_out": 9}}, "data: held_out needs dataset = "),
    "negative seed": ({"seed": -3}, "seed = -3"),
    "missing name": ({"name": None}, "'name' is missing: add it"),
    "misspelt key that is then missing": (
        coarse({"trials": None, "trails": 32}),
        "unknown key 'trails' in stage 1: did you mean 'trials'? If not, remove it, or correct its spelling (known: na",
    ),
    "minimizing": (
        {"minimize": True},
        "unknown key 'minimize': write direction = \"minimize\" next to `objective`, abov",
    ),
    "direction of a stage": (
        coarse({"direction": "minimize"}),
        "unknown key 'direction' in stage 1: write direction =",
    ),
    "direction of a network": (
        {"direction": "minimize"},
        "direction and metric belong to an objective: the network is searched for the highest validation accuracy",
    ),
    "unknown direction": ({"direction": "down"}, "direction = 'down': must be 'maximize' or 'minimize'"),
    "metric with markup": ({"metric": "<b>loss"}, "metric = '<b>loss': a metric is a name of 1 to 40 letters"),
    "batch larger than the data": ({"model": {"batch": 5000}}, "batch = 5000 is larger than the 1197"),
}


@pytest.mark.parametrize("case", BAD_CAMPAIGNS)
def test_bad_campaign_is_refused(cli, tmp_path, case):
    """The error names the place, the value and the remedy; the exit code is 2, and no file is created."""
    changes, message = BAD_CAMPAIGNS[case]
    check_refused(cli, tmp_path, campaign_toml(checked=False, **changes), message)


@pytest.mark.parametrize(
    "line", ["seeds = = 3", f"seeds = {'9' * 5000}", f"seeds = {'[' * 3000}"], ids=["syntax", "5,000 digits", "nested"]
)
def test_invalid_toml_is_refused(cli, tmp_path, line):
    """The error says that the file is not TOML."""
    check_refused(cli, tmp_path, f"{campaign_toml()}\n{line}\n", "is not TOML")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "a = 1\nspace = {\n  C = [1, 2],\n}\n",
            "An inline table, { … }, stays on one line: join its lines, or write a",
        ),
        ("space = { C = [1, 2], # the first\r\n g = [1, 2] }\n", "An inline table, { … }, stays on one line"),
        ("space = { C = [\n1, 2],\ng = [1, 2] }\n", "An inline table, { … }, stays on one line"),
        ("space = { C = [1, 2]", "An inline table, { … }, stays on one line"),
        ("space = { C = [1, 2], }\n", "Remove the comma before the closing brace"),
        ("[stage]\nname = 'coarse'\n[stage]\n", "Each stage starts with [[stage]], in two pairs of brackets"),
        ("name = 'small'\n[stage]\nname = 'coarse'\n", "each stage starts with [[stage]], in two pairs of brackets"),
        ("objective = mine:train\n", "A text needs quotes; true and false are in lower case"),
        ("stage = [\n{ name = 'a' },\n\nconfirm = { top = 4 }\n", "or a bracket is not closed above."),
    ],
)
def test_usual_mistakes_in_toml_get_a_hint(cli, tmp_path, text, hint):
    """The error about a wrapped inline table, a single bracket or a missing quote says what to write."""
    check_refused(cli, tmp_path, text, hint)


def check_refused(cli, folder, text, message):
    """Run a campaign file; check that it is refused in one sentence that contains `message`."""
    (folder / "bad.toml").write_text(text, "utf-8")
    code, out, err = cli("run", "bad.toml")
    assert (code, out) == (2, "")
    assert message in err
    assert is_one_sentence(err)
    assert [path.name for path in folder.iterdir()] == ["bad.toml"]


@pytest.mark.parametrize("section", ["campaign", "stage"])
@pytest.mark.parametrize("name", ["a/b", "a\nb", "..", "a..b", "a\0b", "x" * 65, "", " ", "-a", "a ", "<script>", "ü"])
def test_bad_name_is_refused(cli, tmp_path, section, name):
    """A campaign or stage name that could leave a folder or break a line or a page is refused."""
    changes = coarse({"name": name}) if section == "stage" else {"name": name}
    check_refused(cli, tmp_path, campaign_toml(**changes), "a name is 1 to 64 letters")


def test_name_of_64_characters_is_accepted(cli, tmp_path):
    """A campaign with the longest allowed name runs to its end."""
    write_campaign(tmp_path, name="x" * 64)
    assert cli("run", "small.toml", "--workers", 1)[0] == 0
    assert cli("status", "x" * 64)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "nowhere.toml"), 2, "There is no campaign file 'nowhere.toml', and no preset of that name"),
        (("run", "."), 2, "The campaign file '.' cannot be read"),
        (("run", "a\0b"), 2, "cannot be read"),
        (("presets", "nothing"), 2, "There is no preset 'nothing'"),
        (("run", "digits", "--data", "x"), 2, "The dataset 'digits' reads no file: --data x is not used"),
        (("run", "paper", "--data", "nowhere"), 4, "There is no nowhere"),
        (("run", "paper", "--data", "."), 4, "lacks data_batch_1, data_batch_3, data_batch_2, test_batch"),
        (("run", "digits", "--storage", "mysql://u:secret@h/d"), 2, "not supported"),
        (("run", "digits", "--storage", "nothing://"), 2, "storage"),
        (("run", "digits", "--storage", ""), 2, "is not a path"),
        (("run", "digits", "--storage", "missing/folder/s.db"), 5, "missing/folder"),
        (("status",), 5, "start a campaign with `coarsefine run`"),
        (("best", "digits"), 5, "start a campaign with `coarsefine run`"),
        (("status", "--storage", "."), 5, "is not a file"),
        (("run", "digits", "--storage", "."), 5, "is not a file"),
    ],
)
def test_bad_argument_is_refused(cli, tmp_path, arguments, code, message):
    """A missing file or unusable data or storage is refused in one sentence; no file is created."""
    exit_code, out, err = cli(*arguments)
    assert (exit_code, out) == (code, "")
    assert message in err
    assert "secret" not in err
    assert is_one_sentence(err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["run", "status", "best"])
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty (0 bytes)"), (b"not a database at all", "is not a SQLite file"), ("zeroed", "damaged")],
    ids=["empty", "text", "damaged"],
)
def test_damaged_storage_is_refused_and_kept(cli, tmp_path, small_file, command, content, message):
    """Every command refuses an empty, foreign or damaged studies.db and does not change it."""
    path = tmp_path / "studies.db"
    if content == "zeroed":
        assert cli("run", small_file)[0] == 0
        content = bytearray(path.read_bytes())
        content[4096 * 3 : 4096 * 8] = bytes(4096 * 5)
    path.write_bytes(content)
    arguments = [command, small_file] if command == "run" else [command, "small"]
    code, out, err = cli(*arguments)
    assert (code, out) == (5, "")
    assert message in err
    assert "studies.db" in err
    assert is_one_sentence(err)
    assert path.read_bytes() == bytes(content)


def test_foreign_database_is_refused_and_kept(cli, tmp_path, small_file):
    """A SQLite file without Optuna's tables is refused and not changed."""
    path = tmp_path / "studies.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    code, _, err = cli("run", small_file)
    assert code == 5
    assert "of another program" in err
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["run", "status"])
def test_unreadable_storage_is_refused(tmp_path, small_file, command):
    """A studies.db without read permission is refused with exit code 5."""
    path = tmp_path / "studies.db"
    path.write_bytes(b"SQLite format 3\0")
    path.chmod(0)
    result = coarsefine_process(
        *([command, small_file] if command == "run" else [command]), cwd=tmp_path, prefix=drop_root_access()
    )
    assert result.returncode == 5
    assert f"{path}: Permission denied" in result.stderr
    assert "Grant yourself read and write access" in result.stderr
    assert is_one_sentence(result.stderr)


@pytest.mark.parametrize("command", ["run", "worker"])
def test_unknown_campaign_is_refused_with_those_of_the_storage(cli, small_file, command):
    """The error of a name that is neither a file nor a preset also names the campaigns in the storage."""
    assert cli("run", small_file, "--workers", 1)[0] == 0
    code, out, err = cli(command, "nosuch")
    assert (code, out) == (2, "")
    assert (
        "There is no campaign file 'nosuch', and no preset of that name (cifar10, digits, paper). Campaigns in" in err
    )
    assert err.endswith("studies.db: small.\n")


@pytest.mark.parametrize("arguments", [("export", "--as", "yaml"), ("predict", "mine", "--split", "mine")])
def test_impossible_option_is_refused_without_a_prefix(tmp_path, arguments):
    """The message about a value that an option does not take does not begin with pydantic's kind of error."""
    result = coarsefine(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "is not one of" in result.stderr
    assert "Value error" not in result.stderr


@pytest.mark.parametrize("arguments", [("run", "--workers"), ("nonsense",), ("gradcheck", "--images", "0"), ()])
def test_wrong_usage_exits_with_2(tmp_path, arguments):
    """Unknown commands, unknown options and values out of range exit with code 2 and no traceback."""
    result = coarsefine(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_failed_download_names_the_options_for_data(tmp_path):
    """Without data and network, the error names --data and COARSEFINE_DATA; the exit code is 4."""
    closed = {
        "https_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "COARSEFINE_CACHE": str(tmp_path / "c"),
    }
    result = coarsefine("run", "paper", cwd=tmp_path, env=closed)
    assert result.returncode == 4
    assert "--data PATH" in result.stderr
    assert "COARSEFINE_DATA" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "studies.db").exists()


@pytest.mark.parametrize(
    ("arguments", "encoding"), [(("presets",), ""), (("presets", "digits"), "cp437"), (("presets", "--json"), "cp437")]
)
def test_every_character_can_be_printed(tmp_path, arguments, encoding):
    """In an ASCII locale output is in UTF-8, and in any other the content of files, too, and JSON is JSON."""
    own = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    answer = coarsefine_process(*arguments, cwd=tmp_path, env=own, encoding="utf-8")
    assert (answer.returncode, answer.stderr) == (0, "")
    text = json.dumps(json.loads(answer.stdout), ensure_ascii=False) if "--json" in arguments else answer.stdout
    assert "8×8" in text
