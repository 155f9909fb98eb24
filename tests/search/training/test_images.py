"""A campaign's images: kept once, shared with other processes, and right where they cannot be kept."""

import pytest
from commands import coarsefine
from stored import table

from coarsefine import run
from coarsefine.model.datasets import Kept
from coarsefine.model.errors import DataError
from coarsefine.search.campaign.schema import Data
from coarsefine.search.training.images import load_images, read_images

DIGITS = Data(dataset="digits")
CIFAR10 = Data(dataset="cifar10")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("COARSEFINE_CACHE", str(folder))
    return folder


@pytest.fixture
def said():
    return []


def test_images_are_kept_once(cache, said):
    """Two loads of the same images make one file, which both map; nothing need be said about it."""
    first, second = (load_images(DIGITS, None, said.append) for _ in range(2))
    assert first.kept == second.kept
    assert [path.name for path in cache.iterdir()] == [first.kept.path.name]
    assert said == []


def test_reading_keeps_nothing(cache):
    """Images that are only looked at are those of the source, and leave nothing behind."""
    assert read_images(DIGITS, None).digest == load_images(DIGITS, None, print).digest
    assert read_images(DIGITS, None).kept is None
    for path in cache.iterdir():
        path.unlink()
    read_images(DIGITS, None)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("cache")
def test_worker_maps_what_its_parent_has_checked(said, tmp_path):
    """Handed where its parent's images lie, a worker maps that file and does not ask for the source."""
    kept = load_images(DIGITS, None, said.append).kept
    again = load_images(CIFAR10, tmp_path / "nowhere", said.append, kept)
    assert (again.name, again.kept) == ("digits", kept)


@pytest.mark.usefixtures("cache")
def test_worker_whose_parents_images_are_gone_loads_its_own(said, tmp_path):
    """Where the parent's file is not, as on another machine, a worker loads from the source, or tells what it lacks."""
    gone = Kept(tmp_path / "gone.data", "0" * 64)
    assert load_images(DIGITS, None, said.append, gone).digest == load_images(DIGITS, None, said.append).digest
    with pytest.raises(DataError, match="There is no"):
        load_images(CIFAR10, tmp_path / "nowhere", said.append, gone)


def test_run_goes_on_where_nothing_can_be_kept(small, small_file, tmp_path):
    """Where the cache folder is a file, a run says so once and ends with the trials of any other run."""
    (tmp_path / "taken").write_text("mine")
    answer = coarsefine("run", small_file, cwd=tmp_path, env={"COARSEFINE_CACHE": str(tmp_path / "taken")})
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("cannot keep the images of digits") == 1
    assert "Name another folder in COARSEFINE_CACHE." in answer.stderr
    run(small, tmp_path / "expected.db")
    assert table(tmp_path / "studies.db") == table(tmp_path / "expected.db")


@pytest.mark.usefixtures("cache")
def test_real_images_are_mapped_as_they_are_read(cifar10_archive, said):
    """The official images come out of the cache as they come out of the archive, to the last bit."""
    memory = read_images(CIFAR10, cifar10_archive)
    for _ in range(2):
        mapped = load_images(CIFAR10, cifar10_archive, said.append)
        assert (mapped.digest, mapped.description) == (memory.digest, memory.description)
        for part in ("train", "validation", "test"):
            for array in ("x", "y"):
                ours, expected = getattr(getattr(mapped, part), array), getattr(getattr(memory, part), array)
                assert ours.tobytes() == expected.tobytes()
    assert said == []
