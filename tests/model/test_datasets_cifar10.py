"""Test CIFAR-10: each official format gives the same images, and invalid input raises a DataError that names it."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import pickle
import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.io import savemat

from coarsefine.model.datasets import Dataset, Selection, load_cifar10
from coarsefine.model.datasets.cifar10_files import read_batch
from coarsefine.model.datasets.cifar10_source import Archive, fetch
from coarsefine.model.datasets.split import Images
from coarsefine.model.errors import DataError

SMALL = Selection(train=("data_batch_1",), validation="data_batch_2", validation_images=100)


def small(**changes: Any) -> Selection:
    """Return the small selection with some options changed."""
    return Selection(**{**SMALL.model_dump(), **changes})


FORMS = ("bin", "mat", "python2", "pickle2", "pickle3", "pickle4", "pickle5")
REMEDIES = ("--data PATH", "COARSEFINE_DATA", "get it again", "get the file again", "choose among", "images to give")


def refusal(source: Path | None, selection: Selection = SMALL, **keywords: Any) -> str:
    """Return the message with which `load_cifar10` refuses: a DataError of one line with a remedy."""
    with pytest.raises(DataError) as caught:
        load_cifar10(source, selection, **keywords)
    message = str(caught.value)
    assert caught.value.exit_code == 4
    assert "\n" not in message
    assert any(remedy in message for remedy in REMEDIES), message
    return message


def tar(path: Path, files: dict[str, bytes], mode: str = "w", **keywords: Any) -> Path:
    """Write an archive with the files in the same folder as the official one."""
    with tarfile.open(path, mode, **keywords) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def binaries(cifar) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cifar.folder("bin").iterdir()}


def header(name: str, size: int) -> bytes:
    """Return the header of a tar member, 512 bytes, that claims a size."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(format=tarfile.GNU_FORMAT)


@pytest.fixture(scope="module")
def expected(cifar) -> Dataset:
    return load_cifar10(cifar.folder("bin"), SMALL)


# Valid files


def test_images_and_labels_are_those_of_the_files(cifar, expected: Dataset) -> None:
    """x + mean is pixels/255 to the precision of float32, and y are the labels, image by image, in order."""
    wanted = {"train": slice(None), "validation": slice(100), "test": slice(None)}
    for name, (part, chosen) in zip(cifar.images, wanted.items(), strict=True):
        images = cifar.images[name]
        ours = getattr(expected, part)
        np.testing.assert_array_equal(ours.y, images.labels[chosen])
        assert np.abs(ours.x + expected.mean - images.pixels[chosen] / np.float32(255)).max() < 2e-7
    assert expected.shape == (3, 32, 32)
    assert (expected.train.x.dtype, expected.train.y.dtype) == (np.float32, np.int64)


def test_mean_is_of_the_training_images(cifar, expected: Dataset) -> None:
    """The mean is that of each training pixel over 255."""
    train = cifar.images["data_batch_1"].pixels
    np.testing.assert_allclose(expected.mean, train.sum(axis=0, dtype=np.int64) / (255 * len(train)), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_every_format_holds_the_same_images(cifar, form: str) -> None:
    """Binary, MATLAB, Python 2 and Python 3 files of the same images give the same pixels and labels."""
    images = cifar.images["data_batch_1"]
    read = read_batch(f"data_batch_1{cifar.suffix(form)}", cifar.encode(form, images))
    assert np.array_equal(read.pixels, images.pixels)
    np.testing.assert_array_equal(read.labels, images.labels)
    assert (read.pixels.dtype, read.labels.dtype) == (np.uint8, np.uint8)


@pytest.mark.parametrize(
    ("protocol", "order", "first"),
    [(2, "C", b"labels"), (4, "F", b"labels"), (5, "F", b"data")],
)
def test_pickle_of_any_order(cifar, protocol: int, order: Any, first: bytes) -> None:
    """A Python file gives the same images for any protocol, order of keys and memory order."""
    images = cifar.images["data_batch_1"]
    labels, data = images.labels.tolist(), images.pixels.copy(order)
    batch = {first: None, b"data": data, b"labels": labels}
    read = read_batch("data_batch_1", pickle.dumps(batch, protocol))
    assert np.array_equal(read.pixels, images.pixels)
    np.testing.assert_array_equal(read.labels, images.labels)


@pytest.mark.parametrize(("form", "inner"), [("mat", "cifar-10-batches-mat"), ("python2", "cifar-10-batches-py")])
def test_every_format_gives_the_same_dataset(cifar, expected: Dataset, tmp_path: Path, form: str, inner: str) -> None:
    """A folder of MATLAB or Python files gives the same arrays and digest as the binary files."""
    (tmp_path / inner).symlink_to(cifar.folder(form))
    dataset = load_cifar10(tmp_path, SMALL)
    assert dataset.digest == expected.digest
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(dataset, part).x, getattr(expected, part).x)
        np.testing.assert_array_equal(getattr(dataset, part).y, getattr(expected, part).y)


def test_parent_folder(cifar, expected: Dataset, tmp_path: Path) -> None:
    """The parent of cifar-10-batches-bin is accepted as well as the folder itself."""
    (tmp_path / "cifar-10-batches-bin").symlink_to(cifar.folder("bin"))
    assert load_cifar10(tmp_path, SMALL).digest == expected.digest


@pytest.mark.parametrize(("mode", "keywords"), [("w", {}), ("w:gz", {"compresslevel": 0})])
def test_archive(cifar, expected: Dataset, tmp_path: Path, mode: str, keywords: dict[str, int]) -> None:
    """An archive gives the same images as its files, in any order, with gzip or without."""
    files = dict(reversed(list(binaries(cifar).items())))
    path = tar(tmp_path / "images.tar", {"readme.html": b"hello", **files}, mode, **keywords)
    assert load_cifar10(path, SMALL).digest == expected.digest


def test_default_selection(cifar, tmp_path: Path) -> None:
    """By default batches 1 and 3 train, the first 1,000 of batch 2 validate and the test batch tests."""
    folder = cifar.copy_with(tmp_path, "bin", None, name="none")
    (folder / "data_batch_3.bin").symlink_to(cifar.folder("bin") / "test_batch.bin")
    dataset = load_cifar10(folder)
    labels = {name: images.labels for name, images in cifar.images.items()}
    np.testing.assert_array_equal(dataset.train.y, np.concatenate([labels["data_batch_1"], labels["test_batch"]]))
    np.testing.assert_array_equal(dataset.validation.y, labels["data_batch_2"][:1000])
    np.testing.assert_array_equal(dataset.test.y, labels["test_batch"])
    assert "20,000/1,000/10,000" in dataset.description


def test_images_held_out_of_training(cifar, expected: Dataset) -> None:
    """Images held out of training follow those of the validation batch and do not affect the mean."""
    dataset = load_cifar10(cifar.folder("bin"), small(held_out=3000))
    train, validation = cifar.images["data_batch_1"], cifar.images["data_batch_2"]
    np.testing.assert_array_equal(dataset.train.y, train.labels[:7000])
    np.testing.assert_array_equal(dataset.validation.y, np.concatenate([validation.labels[:100], train.labels[7000:]]))
    pixels = np.concatenate([validation.pixels[:100], train.pixels[7000:]])
    np.testing.assert_allclose(dataset.validation.x + dataset.mean, pixels / np.float32(255), atol=1e-6)
    np.testing.assert_allclose(dataset.mean, train.pixels[:7000].mean(axis=0) / 255, rtol=1e-6)
    assert "7,000/3,100/10,000" in dataset.description
    assert "data_batch_2+the last 3,000 of train" in dataset.description
    assert len(dataset.training_on_validation().train.y) == len(expected.training_on_validation().train.y)


def test_validation_images_do_not_affect_the_training(cifar, expected: Dataset, tmp_path: Path) -> None:
    """Other validation images change only the digest, not the mean or the training images."""
    images = cifar.images["data_batch_2"]
    other = cifar.encode("bin", Images(255 - images.pixels, images.labels))
    dataset = load_cifar10(cifar.copy_with(tmp_path, "bin", other, name="data_batch_2"), SMALL)
    np.testing.assert_array_equal(dataset.mean, expected.mean)
    assert np.array_equal(dataset.train.x, expected.train.x)
    assert not np.array_equal(dataset.validation.x, expected.validation.x)
    assert dataset.digest != expected.digest


@pytest.mark.parametrize(("name", "place"), [("data_batch_1", 0), ("test_batch", 3073 * 9999 + 3072)])
def test_digest_changes_with_one_byte(cifar, expected: Dataset, tmp_path: Path, name: str, place: int) -> None:
    """A change of the first training label or the last test pixel by one gives another digest."""
    content = bytearray(cifar.encode("bin", cifar.images[name]))
    content[place] = (content[place] + 1) % 10
    assert load_cifar10(cifar.copy_with(tmp_path, "bin", bytes(content), name), SMALL).digest != expected.digest


@pytest.mark.parametrize(
    "selection",
    [
        small(validation_images=101),
        small(held_out=1),
        small(validation="test_batch", test="data_batch_2"),
    ],
    ids=["one more image", "one image held out", "validation and test swapped"],
)
def test_digest_changes_with_the_selection(cifar, expected: Dataset, selection: Selection) -> None:
    """Another selection of the same files gives another digest."""
    assert load_cifar10(cifar.folder("bin"), selection).digest != expected.digest


# Invalid selections


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": "data_batch_6"}, "'data_batch_6'"),
        ({"validation": "data_batch_1"}, "'data_batch_1' is chosen twice"),
        ({"train": ("data_batch_1", "data_batch_1")}, "'data_batch_1' is chosen twice"),
        ({"train": ()}, "no training batch"),
        ({"validation_images": 0}, "greater than or equal to 1"),
        ({"validation_images": 10_001}, "less than or equal to 10000"),
        ({"held_out": 10_000}, "held_out = 10000: of 10,000 training images"),
        ({"held_out": -1}, "greater than or equal to 0"),
    ],
)
def test_invalid_selection_is_refused(changes: dict[str, Any], message: str) -> None:
    """Unknown or repeated batches and impossible counts are refused."""
    with pytest.raises(ValidationError, match=message):
        small(**changes)


def test_validation_may_take_the_whole_batch() -> None:
    """Validation may have one image of its batch, or all 10,000."""
    for n in (1, 10_000):
        assert small(validation_images=n).validation_images == n


# Missing and unreadable folders and files


def test_missing_path(tmp_path: Path) -> None:
    """The message names a path that does not exist."""
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_path_that_is_neither_file_nor_folder(tmp_path: Path) -> None:
    """A pipe or a device, which may have no end, is refused without being read."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        assert f"{path} is neither a file nor a folder" in refusal(path)


def test_path_with_a_zero_byte() -> None:
    """A path that no system allows is refused like one that does not exist."""
    assert "no\0where" in refusal(Path("no\0where"))


def test_folder_without_batches(tmp_path: Path) -> None:
    """The message names the folder and the files that it should have."""
    (tmp_path / "notes.txt").write_text("hello")
    message = refusal(tmp_path)
    assert f"{tmp_path} lacks data_batch_1, data_batch_2, test_batch (it has no CIFAR-10 batch)" in message


@pytest.mark.parametrize("form", ["bin", "mat", "python2"])
def test_missing_batch(cifar, tmp_path: Path, form: str) -> None:
    """The message names the missing batch and those that the folder has."""
    message = refusal(cifar.copy_with(tmp_path, form, None))
    assert f"{tmp_path} lacks data_batch_1 (it has data_batch_2, test_batch)" in message


def test_missing_batch_in_an_archive(tmp_path: Path, blank_archive: bytes) -> None:
    """The message names the missing batch and those that the archive has."""
    path = tmp_path / "images.tar.gz"
    path.write_bytes(blank_archive)
    message = refusal(path, small(train=("data_batch_4",)))
    assert f"{path} lacks data_batch_4 (it has data_batch_1, data_batch_2, test_batch)" in message


def test_locked_file(open_folder: Path, lock: Callable[[Path], None]) -> None:
    """The message names an unreadable file and gives the system's reason."""
    for name in SMALL.batches:
        (open_folder / f"{name}.bin").write_bytes(b"secret")
    lock(open_folder / "test_batch.bin")
    assert f"Permission denied: '{open_folder / 'test_batch.bin'}'" in refusal(open_folder)


def test_locked_folder(open_folder: Path, lock: Callable[[Path], None]) -> None:
    """The message names an unreadable folder and gives the system's reason."""
    folder = open_folder / "batches"
    folder.mkdir()
    lock(folder)
    message = refusal(folder)
    assert str(folder) in message
    assert "Permission denied" in message


def test_locked_archive(open_folder: Path, lock: Callable[[Path], None], blank_archive: bytes) -> None:
    """The message names an unreadable archive and gives the system's reason."""
    path = open_folder / "images.tar.gz"
    path.write_bytes(blank_archive)
    lock(path)
    message = refusal(path)
    assert str(path) in message
    assert "Permission denied" in message


def test_file_too_large_to_be_a_batch(cifar, tmp_path: Path) -> None:
    """A file that is far larger than any batch is refused without being read."""
    folder = cifar.copy_with(tmp_path, "bin", b"")
    with (folder / "data_batch_1.bin").open("wb") as file:
        file.truncate(2**40)
    message = refusal(folder)
    assert str(folder / "data_batch_1.bin") in message
    assert f"{2**40:,} bytes" in message


# Damaged batches


def relabelled(images: Images, label: int) -> Images:
    """Return the images with one label changed."""
    labels = images.labels.copy()
    labels[1234] = label
    return Images(images.pixels, labels)


def matlab(**arrays: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, arrays)
    return file.getvalue()


def python(images: Images, labels: list[Any]) -> bytes:
    """Return a Python file whose labels come last."""
    return pickle.dumps({b"data": images.pixels, b"labels": labels}, protocol=4)


def repickled(data: Any, protocol: int) -> bytes:
    """Return a Python file with the right labels, and data of the right size but another type."""
    return pickle.dumps({b"labels": [0] * 10_000, b"data": data}, protocol)


DAMAGES: dict[str, tuple[str, Callable[[Any, Images], bytes], str]] = {
    "empty bin": ("bin", lambda _, __: b"", "0 bytes instead of 30,730,000"),
    "empty mat": ("mat", lambda _, __: b"", "not a complete CIFAR-10 MATLAB file"),
    "empty pickle": ("python2", lambda _, __: b"", "not a complete CIFAR-10 Python file"),
    "truncated bin": ("bin", lambda c, i: c.encode("bin", i)[:-1], "30,729,999 bytes instead of 30,730,000"),
    "long bin": ("bin", lambda c, i: c.encode("bin", i) + b"\0", "30,730,001 bytes instead of 30,730,000"),
    "label 10 in bin": ("bin", lambda c, i: c.encode("bin", relabelled(i, 10)), "image 1234 has the label 10"),
    "label 10 in pickle": (
        "python2",
        lambda c, i: c.encode("python2", relabelled(i, 10)),
        "image 1234 has the label 10",
    ),
    "truncated mat": ("mat", lambda c, i: c.encode("mat", i)[:10_000_000], "not a complete CIFAR-10 MATLAB file"),
    "mat without labels": ("mat", lambda _, i: matlab(data=i.pixels), "labels"),
    "mat without data": ("mat", lambda _, i: matlab(labels=i.labels), "data"),
    "mat of few images": ("mat", lambda _, i: matlab(data=i.pixels[:9], labels=i.labels[:9]), "(9, 3072)"),
    "mat of few labels": ("mat", lambda _, i: matlab(data=i.pixels, labels=i.labels[:9]), "labels (9,)"),
    "mat transposed": ("mat", lambda _, i: matlab(data=i.pixels.T, labels=i.labels), "(3072, 10000)"),
    "mat of signed pixels": ("mat", lambda _, i: matlab(data=i.pixels.view(np.int8), labels=i.labels), "int8"),
    "mat of broken labels": ("mat", lambda _, i: matlab(data=i.pixels, labels=i.labels + 0.5), "float64"),
    "mat of words": ("mat", lambda _, i: matlab(data=i.pixels, labels=np.array(["cat"] * 10_000)), "labels"),
    "truncated pickle": ("python2", lambda c, i: c.encode("python2", i)[:-1], "not a complete CIFAR-10 Python file"),
    "pickle of few images": ("python2", lambda c, i: c.encode("pickle4", i[:9_999]), "10,000 labelled"),
    "transposed pickle": ("python2", lambda _, i: repickled(i.pixels.T.copy(), 4), "10,000 labelled"),
    "transposed pickle of protocol 5": ("python2", lambda _, i: repickled(i.pixels.T.copy(), 5), "10,000 labelled"),
    "pickle of signed pixels": ("python2", lambda _, i: repickled(i.pixels.view(np.int8), 4), "10,000 labelled"),
    "pickle of plain bytes": ("python2", lambda _, i: repickled(i.pixels.tobytes(), 4), "10,000 labelled"),
    "pickle without labels": ("python2", lambda _, i: pickle.dumps({b"data": i.pixels}), "10,000 labelled"),
    "pickle of few labels": ("python2", lambda _, i: python(i, i.labels.tolist()[1:]), "10,000 labelled"),
    "pickle of many labels": ("python2", lambda _, i: python(i, [*i.labels.tolist(), 0]), "10,000 labelled"),
    "pickle of huge labels": ("python2", lambda _, i: python(i, [2**80] * 10_000), "labels"),
    "pickle of negative labels": ("python2", lambda _, i: python(i, [-1] * 10_000), "image 0 has the label -1"),
    "text for pickle": ("python2", lambda _, __: b"<html>404</html>", "not a complete CIFAR-10 Python file"),
    "long text for pickle": (
        "python2",
        lambda _, __: b"S" + b"x" * 10**6 + b"\n.",
        "not a complete CIFAR-10 Python file",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_batch(cifar, damage: str) -> None:
    """A damaged batch is refused with its name and what is wrong with it."""
    form, content, expected = DAMAGES[damage]
    name = f"images/data_batch_1{cifar.suffix(form)}"
    with pytest.raises(DataError) as caught:
        read_batch(name, content(cifar, cifar.images["data_batch_1"]))
    message = str(caught.value)
    assert message.startswith(name)
    assert expected in message
    assert re.search("get (it|the file) again", message)
    assert len(message) < 1000


@pytest.mark.parametrize("form", ["bin", "mat", "python2"])
def test_damaged_batch_among_good_ones(cifar, tmp_path: Path, form: str) -> None:
    """The message gives the whole path of the damaged file in a folder."""
    folder = cifar.copy_with(tmp_path, form, b"damaged")
    assert str(folder / f"data_batch_1{cifar.suffix(form)}") in refusal(folder)


@pytest.mark.parametrize("form", ["bin", "mat", "python2", "pickle5"])
def test_any_truncation_of_a_batch_is_refused(cifar, form: str) -> None:
    """A file that is cut off anywhere raises a DataError and no other exception."""
    content = cifar.encode(form, cifar.images["data_batch_1"])
    near_the_ends = st.integers(0, 1000) | st.integers(len(content) - 1000, len(content) - 1)

    @settings(max_examples=15, deadline=None, database=None)
    @given(near_the_ends | st.integers(0, len(content) - 1))
    def check(length: int) -> None:
        with pytest.raises(DataError, match="data_batch_1"):
            read_batch(f"data_batch_1{cifar.suffix(form)}", content[:length])

    check()


# Pickles are never executed


class Planted:
    """Call a function with arguments when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def planted(marker: Path, function: Callable[..., Any]) -> Planted:
    """Return an object that creates the marker file when it is unpickled."""
    return (
        Planted(os.system, f"touch '{marker}'")
        if function is os.system
        else Planted(eval, f"open({str(marker)!r}, 'w').close()")
    )


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", [os.system, eval])
def test_planted_pickle_is_not_executed(cifar, tmp_path: Path, function: Callable[..., Any], protocol: int) -> None:
    """A pickle that would run a command is refused, and its command does not run."""
    marker = tmp_path / "marker"
    content = pickle.dumps(planted(marker, function), protocol)
    folder = cifar.copy_with(tmp_path / "batches", "python2", content)
    assert str(folder / "data_batch_1") in refusal(folder)
    assert not marker.exists()
    pickle.loads(content)  # noqa: S301 - our own: shows that the marker could have been made
    assert marker.exists()


def test_command_in_a_valid_batch_is_not_executed(cifar, tmp_path: Path) -> None:
    """The images of a batch that also contains a command are read, and the command does not run."""
    marker, images = tmp_path / "marker", cifar.images["data_batch_1"]
    batch = {b"a": planted(marker, eval), b"labels": images.labels.tolist(), b"data": images.pixels}
    read = read_batch("data_batch_1", pickle.dumps(batch, protocol=4))
    assert np.array_equal(read.pixels, images.pixels)
    assert not marker.exists()


# Damaged archives


@pytest.mark.parametrize("content", [b"", b"\0", b"not an archive" * 1000, b"\x1f\x8b", b"\0" * 10_240])
def test_file_that_is_not_an_archive(tmp_path: Path, content: bytes) -> None:
    """A file that is empty or not an archive is refused with its name."""
    path = tmp_path / "images.tar.gz"
    path.write_bytes(content)
    assert str(path) in refusal(path)


@pytest.mark.parametrize("left", [-1, -8, -9, 0.9, 0.5, 100, 20])
def test_truncated_gzip(tmp_path: Path, blank_archive: bytes, left: float) -> None:
    """An archive that is cut off is refused with its name, even if only its checksum is missing."""
    path = tmp_path / "images.tar.gz"
    path.write_bytes(blank_archive[: int(left * len(blank_archive)) if 0 < left < 1 else int(left)])
    assert str(path) in refusal(path)


def test_truncated_tar(cifar, tmp_path: Path) -> None:
    """A tar that is cut off within a batch is refused with its name."""
    path = tar(tmp_path / "images.tar", binaries(cifar))
    os.truncate(path, path.stat().st_size // 2)
    assert str(path) in refusal(path)


def test_garbled_gzip(tmp_path: Path, blank_archive: bytes) -> None:
    """An archive with garbled bytes in the middle is refused with its name."""
    content, middle = bytearray(blank_archive), len(blank_archive) // 2
    content[middle : middle + 100] = bytes(byte ^ 0xFF for byte in content[middle : middle + 100])
    path = tmp_path / "images.tar.gz"
    path.write_bytes(content)
    assert str(path) in refusal(path)


def test_one_garbled_pixel_in_a_gzip(cifar, tmp_path: Path) -> None:
    """The checksum at the archive's end finds one wrong bit that leaves the files' sizes unchanged."""
    path = tar(tmp_path / "images.tar.gz", binaries(cifar), "w:gz", compresslevel=0)
    with path.open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))
    message = refusal(path)
    assert str(path) in message
    assert "CRC" in message


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_garbled_archive_of_any_compression(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """A garbled archive of any compression that tar can open raises a DataError."""
    noise = np.random.default_rng(0).bytes(2**20)
    content = bytearray(compress(header("data_batch_1.bin", len(noise)) + noise + b"\0" * 10_240))
    middle = len(content) // 2
    content[middle : middle + 1000] = b"\xff" * 1000
    path = tmp_path / "images.tar.gz"
    path.write_bytes(content)
    assert str(path) in refusal(path)


def test_member_of_huge_size(tmp_path: Path) -> None:
    """A member that claims more than any batch has is refused before it is unpacked."""
    path = tmp_path / "images.tar"
    path.write_bytes(header("data_batch_1.bin", 2**40) + b"\0" * 10_240)
    with pytest.raises(DataError, match=rf"images\.tar: data_batch_1\.bin claims {2**40:,} bytes"):
        load_cifar10(path, SMALL)


@pytest.mark.parametrize("size", [2**80, -(2**80), -1024, -512])
def test_other_member_of_impossible_size(tmp_path: Path, size: int) -> None:
    """An irrelevant member of impossible size raises a DataError and causes no endless loop."""
    path = tmp_path / "images.tar"
    path.write_bytes(header("readme.html", 0) + header("readme.html", size) + b"\0" * 10_240)
    assert str(path) in refusal(path)


def test_links_and_folders_named_like_a_batch_are_ignored(cifar, expected: Dataset, tmp_path: Path) -> None:
    """Symbolic links, hard links and folders with the name of a batch are ignored."""
    path, secret = tmp_path / "images.tar", tmp_path / "secret"
    secret.write_bytes(cifar.encode("bin", cifar.images["test_batch"]))
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            member = tarfile.TarInfo("data_batch_1.bin")
            member.type, member.linkname = kind, str(secret)
            archive.addfile(member)
    tar(path, {name: file for name, file in binaries(cifar).items() if name != "data_batch_1.bin"}, "a")
    assert "lacks data_batch_1" in refusal(path)
    tar(path, {"data_batch_1.bin": cifar.encode("bin", cifar.images["data_batch_1"])}, "a")
    assert load_cifar10(path, SMALL).digest == expected.digest


# Downloads


def archive_at(server, content: bytes = b"the archive's bytes" * 1000) -> Archive:
    """Let the server serve a content; return its address and hash."""
    server.body = content
    return Archive(server.url, hashlib.sha256(content).hexdigest())


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_download_is_cached(server, cache_folder: Path, blank_archive: bytes) -> None:
    """Without a path the archive is downloaded once; the next run needs no network."""
    messages: list[str] = []
    archive = archive_at(server, blank_archive)
    first = load_cifar10(None, SMALL, archive=archive, say=messages.append)
    server.close()
    assert load_cifar10(None, SMALL, archive=archive, say=messages.append).digest == first.digest
    assert server.requests == 1
    assert messages == [f"Downloading {server.url} to {cache_folder}."]
    assert names(cache_folder) == ["images.tar.gz"]


def test_wrong_hash(server, cache_folder: Path) -> None:
    """A download with the wrong hash is refused and not cached."""
    archive = replace(archive_at(server), sha256="0" * 64)
    message = refusal(None, archive=archive)
    assert server.url in message
    assert "SHA-256" in message
    assert names(cache_folder) == []


def test_no_network(server, cache_folder: Path) -> None:
    """If the server does not answer, the message names both ways to provide a copy."""
    archive = archive_at(server)
    server.close()
    message = refusal(None, archive=archive)
    assert server.url in message
    assert "--data" in message
    assert "COARSEFINE_DATA" in message
    assert names(cache_folder) == []


def test_connection_lost_midway(server, cache_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A partial download is refused and removed; the next attempt downloads all of it."""
    archive = archive_at(server)
    server.cut = True
    assert server.url in refusal(None, archive=archive)
    assert names(cache_folder) == []
    server.cut = False
    assert fetch(archive, lambda _: None).read_bytes() == server.body
    assert capsys.readouterr().err == "", "no progress bar where no terminal is"


def test_redirect_to_nowhere(server, cache_folder: Path) -> None:
    """A redirection that cannot be followed is reported as such, not as a wrong hash."""
    archive = archive_at(server)
    server.redirect = "gopher://nowhere/"
    message = refusal(None, archive=archive)
    assert "gopher" in message
    assert "SHA-256" not in message
    assert names(cache_folder) == []


@pytest.mark.usefixtures("cache_folder")
def test_damaged_download_is_replaced(server) -> None:
    """A damaged file in the cache is downloaded again."""
    archive = archive_at(server)
    kept = fetch(archive, lambda _: None)
    kept.write_bytes(server.body[:-1])
    assert fetch(archive, lambda _: None).read_bytes() == server.body
    assert server.requests == 2


def test_locked_cache(server, open_folder: Path, monkeypatch: pytest.MonkeyPatch, lock: Callable[[Path], None]) -> None:
    """A cache folder that may not be entered raises a DataError with the system's reason."""
    archive = archive_at(server)
    monkeypatch.setenv("COARSEFINE_CACHE", str(open_folder / "cache"))
    fetch(archive, lambda _: None)
    lock(open_folder / "cache")
    message = refusal(None, archive=archive)
    assert "Permission denied" in message


# The real images


def test_real_archive(cifar10_archive: Path) -> None:
    """The official archive has the published number of images, mean colours and share of each class."""
    dataset = load_cifar10(cifar10_archive)
    assert [len(part.y) for part in (dataset.train, dataset.validation, dataset.test)] == [20_000, 1_000, 10_000]
    np.testing.assert_allclose(dataset.mean.reshape(3, -1).mean(axis=1), [0.4914, 0.4822, 0.4465], atol=0.01)
    shares = np.bincount(dataset.train.y, minlength=10) / 20_000
    assert shares.min() > 0.05
    assert shares.max() < 0.15
