"""Test `.npz` files as datasets: the same as from_arrays, and a DataError for any other file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coarsefine.model.datasets import DATASETS, Dataset
from coarsefine.model.datasets.arrays import ArrayFile, load_array_file
from coarsefine.model.errors import DataError
from coarsefine.model.extensions import load

RNG = np.random.default_rng(1)
X, Y = RNG.integers(0, 256, (60, 4, 5), dtype=np.uint8), np.arange(60) % 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mydata.npz"


def refusal(path: Path, **options: Any) -> str:
    """Return the message with which a file is refused; it names the file."""
    with pytest.raises(DataError) as error:
        load_array_file(path, ArrayFile(**options))
    assert str(path) in str(error.value)
    return str(error.value)


def test_file_is_what_its_arrays_are(path: Path) -> None:
    """A file with x and y is the dataset of these arrays, with the name and the scale of the options."""
    np.savez(path, x=X, y=Y)
    found = load_array_file(path, ArrayFile(name="flowers", scale=100.0))
    expected = Dataset.from_arrays(X, Y, name="flowers", scale=100)
    assert (found.digest, found.description) == (expected.digest, expected.description)
    assert found.train.x.tobytes() == expected.train.x.tobytes()


def test_file_may_hold_all_parts_and_class_names(path: Path) -> None:
    """Validation, test and classes are read under their names, also from a compressed file."""
    parts = {"x_validation": X[:9], "y_validation": Y[:9], "x_test": X[9:20], "y_test": Y[9:20]}
    np.savez_compressed(path, x=X[20:], y=Y[20:], classes=np.array(["a", "b", "c"]), **parts)
    found = load_array_file(path)
    assert (found.counts, found.classes) == ((40, 9, 11), ("a", "b", "c"))
    assert found.digest == Dataset.from_arrays(X[20:], Y[20:], classes=["a", "b", "c"], **parts).digest


def test_file_is_cached_and_mapped(path: Path, tmp_path: Path) -> None:
    """With a cache folder a second load maps the same file; other arrays or another scale make another."""
    np.savez(path, x=X, y=Y)
    cache, messages = tmp_path / "cache", []
    first, second = (load_array_file(path, cache=cache, say=messages.append) for _ in range(2))
    assert first.mapped_file == second.mapped_file
    assert len(list(cache.iterdir())) == 1
    assert load_array_file(path, ArrayFile(scale=1.0), cache=cache).mapped_file != first.mapped_file
    np.savez(path, x=X[::-1], y=Y)
    changed = load_array_file(path, cache=cache, say=messages.append)
    assert changed.digest not in {first.digest, None}
    assert messages == []


class Planted:
    """Create a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def test_nothing_is_unpickled(path: Path, tmp_path: Path) -> None:
    """An array of Python objects is refused, and what its unpickling would do is not done."""
    planted = np.array([Planted(tmp_path / "executed")], dtype=object)
    for arrays in ({"x": X, "y": planted}, {"x": planted, "y": Y}):
        np.savez(path, allow_pickle=True, **arrays)
        assert "allow_pickle" in refusal(path)
    planted.dump(path)
    assert "cannot be read as a .npz file" in refusal(path)
    assert not (tmp_path / "executed").exists()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no y": ({"x": X}, "lacks x or y: it must hold x and y, and may hold x_validation, y_validation, x_test"),
    "unknown array": ({"x": X, "y": Y, "x_val": X}, "has 'x_val': it must hold x and y"),
    "part without labels": ({"x": X, "y": Y, "x_test": X}, "There is x_test without y_test"),
    "counts": ({"x": X, "y": Y[1:]}, "x has 60 images, and y 59 labels"),
    "channels last": (
        {"x": np.zeros((9, 4, 5, 3), np.uint8), "y": Y[:9]},
        "x.transpose(0, 3, 1, 2) moves the channels",
    ),
    "NaN": ({"x": np.full((60, 4), np.nan), "y": Y}, "x holds NaN"),
    "label out of range": ({"x": X, "y": Y, "x_test": X, "y_test": Y + 5}, "y_test has the label 5 at 0"),
    "class that is missing": ({"x": X, "y": Y * 2}, "y has no image of the class '1' to train on"),
    "too few": ({"x": X[:4], "y": Y[:4]}, "x has 4 images, too few to split off validation images"),
    "classes as numbers": ({"x": X, "y": Y, "classes": np.arange(3)}, "classes is (3,) int64, not a list"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(path: Path, case: str) -> None:
    """The message names the file, the array as it is called there, and what is wrong."""
    arrays, message = BAD[case]
    np.savez(path, **arrays)
    assert message in refusal(path)


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"PK\x03\x04 cut off"])
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    """A file that is no archive of arrays is refused with what to do."""
    path.write_bytes(content)
    assert "cannot be read as a .npz file" in refusal(path)
    assert "write it by numpy.savez" in refusal(path)


def test_file_that_was_cut_off_is_refused(path: Path) -> None:
    """A file without its end, or with a changed byte, is refused."""
    np.savez(path, x=X, y=Y)
    content = path.read_bytes()
    for damaged in (content[:-100], content[:700] + bytes([content[700] ^ 1]) + content[701:]):
        path.write_bytes(damaged)
        assert "cannot be read as a .npz file" in refusal(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_file_is_refused(path: Path, save: Callable[..., None]) -> None:
    """A file with any byte changed or its end missing is refused, or it still holds the same arrays."""
    save(path, x=X[:30], y=Y[:30])
    digest, content = load_array_file(path).digest, path.read_bytes()
    rng = np.random.default_rng(0)
    cut = [content[:size] for size in range(0, len(content), 97)]
    changed = [bytearray(content) for _ in content[::2]]
    for place, damaged in zip(range(0, len(content), 2), changed, strict=True):
        damaged[place] ^= int(rng.integers(1, 256))
    for damaged in (*cut, *changed):
        path.write_bytes(damaged)
        try:
            found = load_array_file(path)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017 - no error if the byte is, say, of a date
        else:
            assert found.digest == digest


def test_single_array_is_refused(path: Path) -> None:
    """A `.npy` file, whose array has no name, is refused."""
    with path.open("wb") as file:
        np.save(file, X)
    assert "it holds one array without a name" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_missing_file_folder_and_pipe_are_refused(path: Path, tmp_path: Path) -> None:
    """What is no file is refused without being read."""
    os.mkfifo(tmp_path / "pipe")
    for wrong in (path, tmp_path, tmp_path / "pipe"):
        assert "There is no file" in refusal(wrong)


def test_impossible_path_is_refused(open_folder: Path, lock) -> None:
    """A name that is too long, and a file in a folder without the right to enter it, are refused with the reason."""
    assert "cannot be read: File name too long" in refusal(open_folder / ("long" * 99))
    (open_folder / "locked").mkdir()
    lock(open_folder / "locked")
    assert "cannot be read: Permission denied" in refusal(open_folder / "locked" / "mine.npz")


def test_unreadable_file_is_refused(open_folder: Path, lock) -> None:
    """A file without the right to read it is refused with the reason."""
    path = open_folder / "mine.npz"
    np.savez(path, x=X, y=Y)
    lock(path)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        load_array_file(path, cache=open_folder / "cache")


def test_dataset_without_a_file_says_how_to_name_one() -> None:
    """Without a path and without --data, the message shows both."""
    with pytest.raises(DataError, match=r'give path = "mydata.npz" in \[data\], or --data mydata.npz'):
        load(DATASETS, "arrays").load(ArrayFile(), None, print, None)
