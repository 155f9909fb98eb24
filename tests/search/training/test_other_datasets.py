"""Test datasets of other packages: found by their entry points, run by worker processes, and refused with a reason."""

import json
import zipfile
from pathlib import Path

import pytest
from campaigns import campaign_toml
from commands import coarsefine
from forked import forked_command
from packages import EXAMPLES, install, install_example, run_example
from PIL import Image
from stored import table

from coarsefine import Campaign, CampaignError, DataError, UsageError, run
from coarsefine.search.campaign.sections import Data
from coarsefine.search.cli.doctor import examine
from coarsefine.search.network.recorded_checks import Subject
from coarsefine.search.storage.location import at_file
from coarsefine.search.training.images import read_images

KIND = "from coarsefine import DatasetKind\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install the example of the documentation."""
    return install_example(tmp_path_factory.mktemp("site"), "bars")


@pytest.fixture(scope="module")
def ran(site, tmp_path_factory):
    """Run the example's campaign with two worker processes; return the folder and the JSON that the run printed."""
    folder = tmp_path_factory.mktemp("bars")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COARSEFINE_CACHE", str(folder / "cache"))
        answer = run_example(folder, "bars", site, "--json")
    assert answer.stderr.count("Drawing 1,200 images of bars.") == 1
    return folder, json.loads(answer.stdout)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a package for this process."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return lambda *args, **modules: install(tmp_path / "site", *args, **modules)


def test_dataset_of_another_package_runs(ran, site, monkeypatch):
    """Two workers train the planned trials on the package's images, and the network recognises them."""
    folder, record = ran
    assert record["state"] == "done"
    assert [stage["completed"] for stage in record["stages"]] == [12, 8]
    assert record["final"]["test_accuracy"] > 0.8
    card = next(folder.glob("trained/*/MODEL_CARD.md")).read_text("utf-8")
    assert card.startswith("# bars: a two-layer network for bars in noise\n")
    assert "Dataset: bars, 840/180/180 images" in card
    monkeypatch.syspath_prepend(str(site))
    answer = coarsefine("predict", record["final"]["folder"], "--split", "test", cwd=folder)
    assert "of 180 images are classified correctly" in answer.stdout


def test_one_worker_gets_the_same_bits(ran, site, tmp_path, monkeypatch):
    """One process trains the package's images to the same values."""
    folder, *_ = ran
    monkeypatch.syspath_prepend(str(site))
    run(Campaign.load(folder / "bars.toml"), tmp_path / "studies.db")
    assert table(tmp_path / "studies.db") == table(folder / "studies.db")


def test_options_of_another_package_are_checked(site, tmp_path, monkeypatch):
    """An unknown key and a value out of bounds are refused as those of Coarsefine's own datasets are."""
    monkeypatch.syspath_prepend(str(site))
    path = tmp_path / "bars.toml"
    for line, message in (
        (
            "colour = 3",
            "unknown key 'colour' in data: remove it, or correct its spelling (known: dataset, size, images, ",
        ),
        ("size = 3", "data, size = 3: must be greater than or equal to 4."),
        ('size = "13"', "data, size = '13': must be a whole number."),
        ("noise = true", "data, noise = True: must be a valid number."),
    ):
        path.write_text((EXAMPLES / "bars" / "bars.toml").read_text("utf-8").replace("noise = 0.4", line), "utf-8")
        with pytest.raises(CampaignError) as error:
            Campaign.load(path)
        assert message in str(error.value)
    assert Data(dataset="bars").options == {"size": 12, "images": 600, "noise": 0.3}


def test_campaign_can_be_looked_at_without_the_package(ran):
    """Where the package is not installed, status and report are made; a run names what is missing."""
    folder, *_ = ran
    for command in (("status", "bars"), ("report", "bars", "--output", "report.html")):
        answer = forked_command(*command, cwd=folder)
        assert answer.returncode == 0, answer.stderr
    assert "a two-layer network for bars" in (folder / "report.html").read_text("utf-8")
    for command in (("run", "bars.toml"), ("gradcheck", "--campaign", "bars")):
        answer = forked_command(*command, cwd=folder)
        assert answer.returncode == 2
        assert "here is no dataset 'bars' (known: digits, cifar10, arrays)." in answer.stderr


def test_known_datasets_are_listed_with_their_packages(site, monkeypatch):
    """The error for an unknown dataset lists the known ones, and the package of those that others bring."""
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(UsageError, match=r"known: digits, cifar10, arrays, bars of coarsefine-bars 1\.0"):
        Subject.find("mnist", None, "studies.db")


BROKEN = {
    "import fails": ("from nowhere import images\n", "cannot be imported.*ModuleNotFoundError: No module"),
    "no such object": ("", r"cannot be imported.*AttributeError"),
    "another object": ("KIND = 3\n", "is not a coarsefine.DatasetKind, but of type int"),
    "options": (KIND + "KIND = DatasetKind('x', print, dict)\n", "has options that are not a pydantic model"),
    "no title": (KIND + "KIND = DatasetKind('', print)\n", "lacks a title in words or a function to load it"),
    "no function": (KIND + "KIND = DatasetKind('x', 'load')\n", "lacks a title in words or a function to load it"),
    "its own name": (
        KIND + "from pydantic import BaseModel\nclass Options(BaseModel):\n    dataset: str = ''\n"
        "KIND = DatasetKind('x', print, Options)\n",
        "has an option 'dataset', which is the key of its own name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_package_is_named_once_it_is_asked_for(installed, tmp_path, case):
    """A package that cannot be used is named with the cause, and disturbs no campaign on another dataset."""
    text, message = BROKEN[case]
    module = f"broken_{case.replace(' ', '_')}"
    installed("broken-images", {"coarsefine.datasets": {module: f"{module}:KIND"}}, **{module: text})
    assert Campaign.load("digits").network.data.title == "8×8 handwritten digits"
    (tmp_path / "small.toml").write_text(campaign_toml(data={"dataset": module}), "utf-8")
    with pytest.raises(CampaignError, match=rf"'{module}' of broken-images 1\.0 \({module}:KIND\) .*{message}"):
        Campaign.load(tmp_path / "small.toml")


def test_two_packages_with_one_name_are_named(installed):
    """A name that two packages bring is refused with both; Coarsefine's own names cannot be replaced."""
    for name in ("first", "second"):
        installed(name, {"coarsefine.datasets": {"twice": f"{name}:KIND", "digits": f"{name}:KIND"}}, **{name: ""})
    with pytest.raises(UsageError, match=r"first 1\.0 and second 1\.0 both bring a dataset 'twice'"):
        Subject.find("twice", None, "studies.db")
    assert read_images(Data(dataset="digits"), None).name == "digits"


WRONG = {
    "3": "returned int, not a coarsefine.Dataset",
    "1 / 0": r"cannot be loaded: ZeroDivisionError: division by zero \(.*wrong_1\.py, line 2\)",
}


@pytest.mark.parametrize("expression", WRONG)
def test_function_that_fails_is_named(installed, expression):
    """If a package's function fails or returns something else, the error says where and what."""
    name = f"wrong_{list(WRONG).index(expression)}"
    text = f"{KIND}KIND = DatasetKind('nothing', lambda options, source, say, cache: {expression})\n"
    installed("no-images", {"coarsefine.datasets": {name: f"{name}:KIND"}}, **{name: text})
    with pytest.raises(DataError, match=rf"The dataset '{name}' of no-images 1\.0 {WRONG[expression]}"):
        read_images(Data(dataset=name), None)


def test_options_that_fail_are_named(installed, tmp_path):
    """A validator or serializer that fails or exits is named with its package; stored campaigns are read anyway."""
    for name, decorator, body in (
        ("validates", "model_validator(mode='after')", "1 / 0"),
        ("serializes", "model_serializer", "raise SystemExit(3)"),
    ):
        text = f"{KIND}from pydantic import BaseModel, model_serializer, model_validator\nclass Options(BaseModel):\n"
        text += f"    @{decorator}\n    def fail(self): {body}\nKIND = DatasetKind('nothing', print, Options)\n"
        installed(f"{name}-options", {"coarsefine.datasets": {name: f"{name}:KIND"}}, **{name: text})
        (tmp_path / "small.toml").write_text(campaign_toml(data={"dataset": name}), "utf-8")
        with pytest.raises(CampaignError, match=rf"data: the dataset '{name}' of {name}-options 1\.0 failed: "):
            Campaign.load(tmp_path / "small.toml")
        stored = Campaign.load("digits").as_stored() | {"data": {"dataset": name}}
        assert Campaign.from_stored(stored).as_stored() == stored


def test_source_comes_from_option_path_or_variable(installed, monkeypatch):
    """The source is `--data`, else the option `path`, else the variable; a dataset without files refuses `--data`."""
    text = KIND + "from pydantic import BaseModel\nfrom coarsefine import Dataset\n"
    text += "class Options(BaseModel):\n    path: str | None = None\n"
    text += "def load(options, source, say, cache):\n    say(str(source))\n"
    text += "    return Dataset.from_arrays([[k / 40] for k in range(40)], [0, 1] * 20)\n"
    text += "KIND = DatasetKind('numbers', load, Options, source='numbers.csv', variable='NUMBERS')\n"
    installed("sourced", {"coarsefine.datasets": {"sourced": "sourced:KIND"}}, sourced=text)
    sources = []

    def read(source=None, **options):
        read_images(Data(dataset="sourced", **options), source, sources.append)

    read()
    monkeypatch.setenv("NUMBERS", "by-variable")
    read()
    read(path="by-path")
    read(Path("by-option"), path="by-path")
    assert sources == ["None", "by-variable", "by-path", "by-option"]
    with pytest.raises(UsageError, match=r"The dataset 'digits' reads no file: --data x is not used. Leave it out."):
        read_images(Data(dataset="digits"), Path("x"))


def test_example_with_files_reads_them(installed, tmp_path, monkeypatch):
    """The example that reads files gets them from `--data` or its variable, keeps them, and names a missing file."""
    text = (EXAMPLES / "letters.py").read_text("utf-8")
    installed("letters", {"coarsefine.datasets": {"letters": "letters:LETTERS"}}, letters=text)
    with zipfile.ZipFile(tmp_path / "letters.zip", "w") as archive:
        for number in range(40):
            with archive.open(f"{'ab'[number % 2]}/{number}.png", "w") as file:
                Image.new("L", (6, 7), number).save(file, "PNG")
    wanted = Data(dataset="letters")
    found = read_images(wanted, tmp_path / "letters.zip", cache=tmp_path / "cache")
    assert (found.shape, found.classes, found.counts) == ((7, 6), ("a", "b"), (28, 6, 6))
    monkeypatch.setenv("LETTERS_DATA", str(tmp_path / "letters.zip"))
    assert read_images(wanted, None, cache=tmp_path / "cache").mapped_file == found.mapped_file
    with pytest.raises(DataError, match="The letters need their zip file"):
        read_images(wanted, tmp_path / "missing.zip")


def test_doctor_checks_other_packages(site, tmp_path, monkeypatch):
    """The doctor says which package brings a dataset, and that one cannot be used."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("COARSEFINE_DATA", raising=False)
    install(tmp_path / "site", "broken", {"coarsefine.datasets": {"unusable": "nowhere:KIND"}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = {finding.check: finding for finding in examine(at_file(tmp_path / "studies.db"), None)}
    assert (found["bars"].verdict, found["bars"].found) == ("ok", "bars in noise, of coarsefine-bars 1.0")
    assert (found["unusable"].verdict, found["unusable"].exit_code) == ("unfit", 2)
