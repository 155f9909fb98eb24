"""Test a campaign's images: they are cached once, shared with other processes, and loaded even without a cache."""

import pytest
from commands import coarsefine
from stored import table

from coarsefine import run
from coarsefine.model.datasets import MappedFile
from coarsefine.model.errors import DataError
from coarsefine.search.campaign.sections import Data
from coarsefine.search.training.images import load_images, read_images

DIGITS = Data(dataset="digits")
CIFAR10 = Data(dataset="cifar10")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("COARSEFINE_CACHE", str(folder))
    return folder


@pytest.fixture
def messages():
    return []


def test_images_are_cached_once(cache, messages):
    """Two loads of the same images make one file, which both map, and print no message."""
    first, second = (load_images(DIGITS, None, messages.append) for _ in range(2))
    assert first.mapped_file == second.mapped_file
    assert [path.name for path in cache.iterdir()] == [first.mapped_file.path.name]
    assert messages == []


def test_reading_caches_nothing(cache):
    """`read_images` reads the source and writes nothing to the cache."""
    assert read_images(DIGITS, None).digest == load_images(DIGITS, None, print).digest
    assert read_images(DIGITS, None).mapped_file is None
    for path in cache.iterdir():
        path.unlink()
    read_images(DIGITS, None)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("cache")
def test_worker_maps_the_file_of_its_parent(messages, tmp_path):
    """A worker maps the file that its parent has checked, and does not read the source."""
    kept = load_images(DIGITS, None, messages.append).mapped_file
    again = load_images(CIFAR10, tmp_path / "nowhere", messages.append, kept)
    assert (again.name, again.mapped_file) == ("digits", kept)


@pytest.mark.usefixtures("cache")
def test_worker_without_the_file_of_its_parent_reads_the_source(messages, tmp_path):
    """If the parent's file is missing, as on another machine, a worker reads the source or reports it missing."""
    gone = MappedFile(tmp_path / "gone.data", "0" * 64)
    assert load_images(DIGITS, None, messages.append, gone).digest == load_images(DIGITS, None, messages.append).digest
    with pytest.raises(DataError, match="There is no"):
        load_images(CIFAR10, tmp_path / "nowhere", messages.append, gone)


def test_run_continues_without_a_cache(small, small_file, tmp_path):
    """If the cache folder is a file, a run says so once and records the same trials."""
    (tmp_path / "taken").write_text("mine")
    answer = coarsefine("run", small_file, cwd=tmp_path, env={"COARSEFINE_CACHE": str(tmp_path / "taken")})
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("cannot keep the images of digits") == 1
    assert "Name another folder in COARSEFINE_CACHE." in answer.stderr
    run(small, tmp_path / "expected.db")
    assert table(tmp_path / "studies.db") == table(tmp_path / "expected.db")


@pytest.mark.usefixtures("cache")
def test_real_images_are_mapped_as_they_were_read(cifar10_archive, messages):
    """The official images from the cache equal those from the archive, bit for bit."""
    one_batch = Data(dataset="cifar10", train=["data_batch_1"])
    memory = read_images(one_batch, cifar10_archive)
    for _ in range(2):
        mapped = load_images(one_batch, cifar10_archive, messages.append)
        assert (mapped.digest, mapped.description) == (memory.digest, memory.description)
        for part in ("train", "validation", "test"):
            for array in ("x", "y"):
                ours, expected = getattr(getattr(mapped, part), array), getattr(getattr(memory, part), array)
                assert ours.tobytes() == expected.tobytes()
    assert messages == []
