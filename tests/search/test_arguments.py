"""Test that public functions refuse wrong arguments at once, and say what they want."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from campaigns import write_campaign

import coarsefine
from coarsefine import Campaign, UsageError, batched, join, read_export, retry, run, train, trials
from coarsefine.search.network.export import export_trial
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage


class Unprintable:
    def __repr__(self):
        raise ValueError("no text")


WORKERS = ("a whole number, at least 1", [0, -1, 1.5, True, "2", None, float("nan"), np.float64(2.0)])
CALLS = {
    "campaign": ("a Campaign", ["small.toml", None, Path("small.toml"), {}]),
    "data": ("a Path, such as", ["cifar-10.tar.gz", 5, np.zeros(3)]),
    "observer": ("an instance of a subclass", [print, coarsefine.Observer, 1]),
    "stop": ("a function", [True, "no", 3]),
    "gpus": ("a list of GPUs", ["0,1", 0, [0, 1]]),
    "storage": ("a path or the URL", [5, ["studies.db"], Unprintable()]),
    "workers": WORKERS,
}


@pytest.mark.parametrize("function", [run, join], ids=["run", "join"])
@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_of_a_training_are_refused(tmp_path, monkeypatch, function, name):
    """`run` and `join` refuse each wrong argument with its name and what is wanted, and create nothing."""
    folder = write_campaign(tmp_path)
    monkeypatch.chdir(folder)
    wanted, wrong = CALLS[name]
    for value in wrong:
        given = {"campaign": Campaign.load("small.toml"), "storage": "studies.db", name: value}
        with pytest.raises(UsageError, match=wanted) as raised:
            function(**given)
        assert name in str(raised.value)
    assert [path.name for path in folder.iterdir()] == ["small.toml"]


def test_engine_must_be_an_address(small):
    """An engine that is no text is refused like one that is no address."""
    with pytest.raises(UsageError, match="dask://HOST:PORT"):
        run(small, engine=8786)


def test_numbers_of_numpy_are_whole_numbers(tmp_path):
    """A whole number of NumPy is taken as a number of workers."""
    folder = write_campaign(tmp_path)
    assert run(Campaign.load(folder / "small.toml"), folder / "studies.db", workers=np.int64(1)).state == "done"


@pytest.fixture
def export(searched):
    storage = open_storage(locate(searched / "studies.db"))
    yield export_trial(find_studies(storage, "small"))
    storage.close()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("export", "winner.json", "read one by read_export"),
        ("final_settings", {"epochs": 3}, "FinalSettings"),
        ("data", "images", "a Path, such as"),
        ("output", "folder", "a Path"),
        ("observer", print, "an instance of a subclass"),
        ("stop", False, "a function"),
        ("threads", 0, "a whole number, at least 1"),
    ],
)
def test_wrong_arguments_of_train_are_refused(tmp_path, export, name, value, wanted):
    """`train` refuses each wrong argument, and writes nothing."""
    given = {"export": export, "storage": tmp_path / "studies.db", name: value}
    with pytest.raises(UsageError, match=wanted):
        train(**given)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: Campaign.load(None), "a preset's name, or the path of a file"),
        (lambda: trials(5), "a campaign's name, or a Campaign"),
        (lambda: trials(stage=1), "a stage's name"),
        (lambda: retry(5), "a campaign's name"),
        (lambda: retry(trials="coarse#7"), "a list of stages with numbers"),
        (lambda: retry(trials=["coarse#7"]), "a list of stages with numbers"),
        (lambda: read_export(None), "a path"),
        (lambda: batched("function"), "a function"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, monkeypatch, call, wanted):
    """Every other public function refuses wrong arguments, too, and creates nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=wanted):
        call()
    assert not any(tmp_path.iterdir())


def test_every_public_function_is_tested_here():
    """A new public function needs a test with wrong arguments; those of datasets are for packages, and raise others."""
    functions = {name for name in coarsefine.__all__ if inspect.isfunction(getattr(coarsefine, name))}
    assert functions - {"cached", "key_of"} == {"run", "join", "train", "trials", "retry", "read_export", "batched"}
