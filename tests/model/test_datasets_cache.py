"""Test the cache of images: whatever happens to the file, a dataset has the numbers of its source."""

import dataclasses
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from forked import Forked
from keep_noise import KEY, content, keep, keep_until_size, keep_until_used, keep_without_room, noise

from coarsefine.model import Hyperparameters, Training, TrainingSettings, evaluate
from coarsefine.model.datasets import Dataset, Selection, cache_folder, key_of, load_cifar10, load_digits, reopen
from coarsefine.model.datasets.cache import cached
from coarsefine.model.datasets.cifar10_source import Archive
from coarsefine.model.datasets.mapped import VERSION, open_mapped, write_mapped
from coarsefine.model.datasets.split import NORMALISATION
from coarsefine.model.errors import CacheError, DataError

PREFIX = 56
SMALL = Selection(train=("data_batch_1",), validation="data_batch_2", validation_images=100)
FEW = 5


@pytest.fixture(scope="module")
def few() -> Dataset:
    return noise(images=FEW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def load(folder: Path, few: Dataset, messages: list[str]) -> Callable[..., Dataset]:
    """Return a function that loads the few images from the folder, and caches them there if they are missing."""
    return lambda into=folder: cached(lambda: KEY, lambda: few, into, messages.append)


def test_options_of_any_name_give_another_key() -> None:
    """An option changes the key, even if it has the name and the value of something that Coarsefine adds to the key."""
    for option in ({"form": VERSION}, {"normalisation": NORMALISATION}, {"order": sys.byteorder}, {"size": 1}):
        assert key_of("mine", **option) == key_of("mine", **option) != key_of("mine")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def never() -> Dataset:
    raise AssertionError("what is kept is not made again")


# Images from the cache


def test_cached_images_equal_their_source(load, few: Dataset, folder: Path, messages: list[str]) -> None:
    """Images from the cache equal those in memory, in every number, label and name."""
    first = load()
    again = cached(lambda: KEY, never, folder, messages.append)
    assert content(first) == content(again) == content(few)
    assert names(folder) == [f"{KEY}.data"]
    assert first.mapped_file == again.mapped_file
    assert messages == []


def test_mapped_arrays_suit_the_trainer(load) -> None:
    """Images are float32 in C order, labels int64, both aligned to a page and read-only."""
    kept = load()
    for part in (kept.train, kept.validation, kept.test):
        assert (part.x.dtype, part.y.dtype) == (np.float32, np.int64)
        assert type(part.x) is np.ndarray
        for array in (part.x, part.y):
            assert array.flags.c_contiguous
            assert array.ctypes.data % 4096 == 0
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("order", ["shuffled", "fixed"])
def test_training_from_the_map_changes_no_value(tmp_path: Path, precision: Any, order: Any) -> None:
    """Weights, losses and accuracies of all three parts equal those of training from memory, bit for bit."""
    trials = [Hyperparameters(eta, 1e-4, seed) for seed, eta in enumerate((0.03, 0.1, 0.3))]
    settings = TrainingSettings(hidden=20, batch=50, epochs=2, precision=precision, order=order)
    memory, mapped = load_digits(), load_digits(cache=tmp_path)
    assert (memory.mapped_file, mapped.mapped_file is None) == (None, False)
    outcomes = []
    for data in (memory, mapped):
        training = Training.start(trials, settings, data)
        reports = [training.run_epoch() for _ in range(settings.epochs)]
        parts = [evaluate(training.theta, part) for part in (data.train, data.validation, data.test)]
        outcomes.append((reports, parts, [array.tobytes() for array in training.theta]))
    assert outcomes[0] == outcomes[1]


def test_checked_file_is_reopened(load, folder: Path) -> None:
    """The path and digest of a checked file are enough to map it; the source is not read."""
    kept = load()
    again = reopen(kept.mapped_file)
    assert content(again) == content(kept)
    assert again.mapped_file == kept.mapped_file
    assert kept.mapped_file.path == folder / f"{KEY}.data"


def test_changed_file_is_not_reopened(load, few: Dataset, folder: Path) -> None:
    """A file that is missing, cut off or made from other images is not reopened."""
    path, kept = folder / f"{KEY}.data", load().mapped_file
    whole = path.read_bytes()
    path.unlink()
    assert reopen(kept) is None
    path.write_bytes(whole[:-1])
    assert reopen(kept) is None
    path.unlink()
    write_mapped(path, dataclasses.replace(few, description="other"))
    assert reopen(kept) is None
    path.write_bytes(whole)
    assert reopen(kept) is not None


def test_map_outlives_its_file(load, few: Dataset, folder: Path) -> None:
    """Removing or replacing the file does not affect a process that maps it."""
    kept = load()
    (folder / f"{KEY}.data").unlink()
    assert content(load()) == content(kept) == content(few)


def test_cached_digits_need_no_scikit_learn(tmp_path: Path) -> None:
    """The second process that loads the digits imports neither scikit-learn nor pooch."""
    script = (
        "import sys; from pathlib import Path; from coarsefine.model.datasets import load_digits;"
        "print(load_digits(cache=Path(sys.argv[1])).digest, 'sklearn' in sys.modules, 'pooch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    digest = load_digits().digest
    assert outputs == [[digest, "True", "False"], [digest, "False", "False"]]


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """COARSEFINE_CACHE sets the folder, relative to the working directory; by default it is the system's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COARSEFINE_CACHE", "here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.setenv("COARSEFINE_CACHE", "")
    assert cache_folder().name == "coarsefine"
    assert cache_folder().is_absolute()


def test_normalisation_is_numbered() -> None:
    """If this fails, cached files differ from what would be made now: increase `NORMALISATION`."""
    digits = load_digits()
    numbers = hashlib.sha256(digits.train.x.tobytes() + digits.test.x.tobytes()).hexdigest()
    assert (NORMALISATION, numbers) == (1, "199c89c22f6885b003d405559b2bb8e319a8e0e4c30c1c7829e0e99ae8f3f5ec")


# The source


@pytest.fixture
def loaded(folder: Path, messages: list[str]) -> Callable[[Path], Dataset]:
    return lambda source: load_cifar10(source, SMALL, say=messages.append, cache=folder)


@pytest.fixture
def batch(cifar, tmp_path: Path) -> Path:
    """Return a folder of binary batches of which the first may be changed."""
    return cifar.copy_with(tmp_path / "source", "bin", cifar.encode("bin", cifar.images["data_batch_1"]))


def change_one_bit(path: Path, at: int) -> None:
    """Change one bit of a file and load its size and times."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)


def test_changed_folder_is_read_again(batch: Path, loaded, messages: list[str]) -> None:
    """One changed bit, with the same size and time, gives another dataset; changed back, the old one."""
    before = loaded(batch)
    change_one_bit(batch / "data_batch_1.bin", 12_345_678)
    after = loaded(batch)
    assert after.digest != before.digest
    assert content(after) == content(load_cifar10(batch, SMALL))
    change_one_bit(batch / "data_batch_1.bin", 12_345_678)
    assert loaded(batch).mapped_file == before.mapped_file
    assert messages == []


def test_changed_archive_is_read_again(batch: Path, loaded, tmp_path: Path) -> None:
    """One changed bit of an archive gives another dataset."""
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(batch.iterdir()):
            archive.add(file.resolve(), file.name)
    before = loaded(path)
    change_one_bit(path, 12_345_678)
    assert loaded(path).digest == load_cifar10(path, SMALL).digest != before.digest


def test_each_selection_has_a_file(batch: Path, loaded, folder: Path) -> None:
    """Fewer validation images of the same files are another dataset in another file."""
    fewer = Selection(train=SMALL.train, validation=SMALL.validation, validation_images=99)
    assert [len(loaded(batch).validation.y), len(load_cifar10(batch, fewer, cache=folder).validation.y)] == [100, 99]
    assert len(loaded(batch).validation.y) == 100
    assert len(names(folder)) == 2


def test_damaged_source_is_refused_and_not_cached(batch: Path, loaded, folder: Path) -> None:
    """A source that was cut off is refused although its images are cached, and nothing more is cached."""
    loaded(batch)
    os.truncate(batch / "data_batch_1.bin", 1000)
    with pytest.raises(DataError, match="has 1,000 bytes instead of"):
        loaded(batch)
    assert len(names(folder)) == 1


def test_source_that_changes_while_it_is_read_is_not_cached(few: Dataset, folder: Path, messages: list[str]) -> None:
    """Images whose files changed while they were read stay in memory, and a message says so."""
    keys = iter(["before", "after"])
    got = cached(lambda: next(keys), lambda: few, folder, messages.append)
    assert got is few
    assert not folder.exists()
    assert len(messages) == 1
    assert "changed while they were read" in messages[0]


def test_download_may_be_removed_once_its_images_are_cached(
    server, cache_folder: Path, blank_archive: bytes, messages: list[str]
) -> None:
    """The official archive's images are loaded from the cache, even offline and without the archive."""
    server.body = blank_archive
    archive = Archive(server.url, hashlib.sha256(blank_archive).hexdigest())
    before = load_cifar10(None, SMALL, archive=archive, cache=cache_folder)
    (cache_folder / archive.name).unlink()
    server.close()
    again = load_cifar10(None, SMALL, archive=archive, cache=cache_folder, say=messages.append)
    assert again.mapped_file == before.mapped_file
    assert messages == []


# Damage


def check_replaced(load, few: Dataset, path: Path, messages: list[str]) -> None:
    """Check that the file is refused in one line and replaced, and that the images are right before and after."""
    with pytest.raises(CacheError) as caught:
        open_mapped(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 150
    messages.clear()
    assert content(load()) == content(few)
    assert messages == [f"{message} It is made again."]
    messages.clear()
    assert content(load()) == content(few)
    assert messages == []
    assert names(path.parent) == [path.name]


@pytest.fixture
def path(load, folder: Path) -> Path:
    load()
    return folder / f"{KEY}.data"


@pytest.mark.parametrize("left", [0, 1, PREFIX - 1, PREFIX, PREFIX + 10, 4095, 4096, 20_000, -4096, -1])
def test_truncated_file(load, few: Dataset, path: Path, messages: list[str], left: int) -> None:
    """A file that is cut off anywhere is replaced."""
    os.truncate(path, left if left >= 0 else path.stat().st_size + left)
    check_replaced(load, few, path, messages)


@pytest.mark.parametrize("more", [1, 4096])
def test_longer_file(load, few: Dataset, path: Path, messages: list[str], more: int) -> None:
    """A file with extra bytes at its end is replaced."""
    os.truncate(path, path.stat().st_size + more)
    check_replaced(load, few, path, messages)


def test_zeroed_file(load, few: Dataset, path: Path, messages: list[str]) -> None:
    """A file of the right size whose content never reached the disk is replaced."""
    length = path.stat().st_size
    for zeroed in (range(length), range(4096, length)):
        whole = bytearray(path.read_bytes())
        whole[zeroed.start : zeroed.stop] = bytes(len(zeroed))
        path.write_bytes(whole)
        check_replaced(load, few, path, messages)


def test_any_flipped_bit_is_found(path: Path) -> None:
    """A flipped bit anywhere in prefix, header, arrays or padding is found."""
    whole = path.read_bytes()
    header = struct.unpack_from("<I", whole, 20)[0]
    places = [*range(PREFIX + header), *range(4096, len(whole), 997), len(whole) - 1]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(CacheError):
            open_mapped(path)
    path.write_bytes(whole)
    open_mapped(path)


def test_flipped_bit(load, few: Dataset, path: Path, messages: list[str]) -> None:
    """A file with a damaged number is replaced, and the number is never used."""
    change_one_bit(path, 10_000)
    check_replaced(load, few, path, messages)


@pytest.mark.parametrize("version", [0, VERSION + 1, 2**32 - 1])
def test_file_of_another_version(load, few: Dataset, path: Path, messages: list[str], version: int) -> None:
    """A file of a newer or older format is not read."""
    whole = bytearray(path.read_bytes())
    struct.pack_into("<I", whole, 16, version)
    path.write_bytes(whole)
    with pytest.raises(CacheError, match=f"has the form {version}, and this version of Coarsefine reads form"):
        open_mapped(path)
    check_replaced(load, few, path, messages)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


HOSTILE: dict[str, bytes | dict[str, Any]] = {
    "not JSON": b"images = 5",
    "no text": b"\xff\xfe\x00",
    "empty": b"",
    "a list": b"[1, 2]",
    "nested": deep(20_000),
    "a number without end": b'{"images": ' + b"9" * 60_000 + b"}",
    "longer than any": b" " * 2**17,
    "a field of another name": {"pickle": "gASVIAAA"},
    "newlines in a name": {"a\nb": 1},
    "huge images": {"images": [2**62, 5, 5]},
    "images beyond every number": {"images": [10**4000, 5, 5]},
    "huge shape": {"shape": [2**31] * 4},
    "many axes": {"shape": [1] * 1000},
    "negative images": {"images": [-5, 5, 5]},
    "negative shape": {"shape": [-8, -8, 8]},
    "no images": {"images": [0, 5, 5]},
    "two parts": {"images": [5, 5]},
    "true images": {"images": [True, 5, 5]},
    "fractional images": {"images": [5.0, 5, 5]},
    "images as text": {"images": "555"},
    "shape of none": {"shape": None},
    "shape of texts": {"shape": ["8", "8", "8"]},
    "nested shape": {"shape": [[8, 8, 8]]},
    "NaN scale": {"scale": float("nan")},
    "infinite scale": {"scale": float("inf")},
    "zero scale": {"scale": 0.0},
    "scale as text": {"scale": "255"},
    "classes of numbers": {"classes": [1, 2, 3]},
    "classes of none": {"classes": None},
    "name of a number": {"name": 1},
    "content of none": {"content": None},
    "content of others": {"content": "0" * 64},
    "fewer images than bytes": {"images": [5, 5, 1]},
    "larger images than bytes": {"shape": [8, 8, 20]},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_header(load, few: Dataset, path: Path, messages: list[str], case: str) -> None:
    """A header with invalid claims, even under the right SHA-256, allocates no memory and gives no images."""
    forge(path, HOSTILE[case])
    check_replaced(load, few, path, messages)
    before = psutil.Process().memory_info().rss
    forge(path, HOSTILE[case])
    with pytest.raises(CacheError):
        open_mapped(path)
    assert psutil.Process().memory_info().rss - before < 50 * 2**20


def forge(path: Path, claimed: bytes | dict[str, Any]) -> None:
    """Replace a file's header, or fields of it, with a prefix that fits."""
    whole = path.read_bytes()
    length = struct.unpack_from("<I", whole, 20)[0]
    if isinstance(claimed, dict):
        claimed = json.dumps(json.loads(whole[PREFIX : PREFIX + length]) | claimed).encode()
    prefix = struct.pack("<16sII32s", whole[:16], VERSION, len(claimed), hashlib.sha256(claimed).digest())
    front = prefix + claimed
    path.write_bytes(front + bytes(-len(front) % 4096) + whole[4096:])


def test_header_that_claims_to_be_huge(load, few: Dataset, path: Path, messages: list[str]) -> None:
    """A header that claims 4 GiB is not read to its end."""
    whole = bytearray(path.read_bytes())
    struct.pack_into("<I", whole, 20, 2**32 - 1)
    path.write_bytes(whole)
    check_replaced(load, few, path, messages)


# Killed processes and full disks


@pytest.fixture
def start(folder: Path) -> Callable[..., Forked]:
    """Return a function that starts a process, which caches images: it calls a function of `keep_noise`."""
    return lambda function=keep, *arguments: Forked(function, folder, *arguments, cwd=folder.parent)


@pytest.fixture(scope="module")
def expected() -> str:
    return content(noise())


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 12_000_000, 24_000_000])
def test_killed_while_the_file_is_written(start, folder: Path, expected: str, size: int) -> None:
    """A process that is killed at any stage of the write leaves no partial file; the next one tidies up."""
    killed = start(keep_until_size, size)
    assert killed.wait(240) == -signal.SIGXFSZ
    (unfinished,) = folder.iterdir()
    assert unfinished.match("*.data-new-*")
    assert unfinished.stat().st_size == size
    assert finish(start()) == [f"got {expected} mapped"]
    assert names(folder) == [f"{KEY}.data"]


def test_killed_at_any_time(start, folder: Path, expected: str) -> None:
    """A process that is killed at a random time leaves a complete file or none."""
    path, began = folder / f"{KEY}.data", time.process_time()
    cached(lambda: KEY, noise, folder, print)
    seconds = time.process_time() - began  # of the processor, so that other work does not change what is interrupted
    killed = 0
    for share in np.random.default_rng(0).uniform(size=60):
        path.unlink(missing_ok=True)
        killed += start(keep_until_used, share * seconds).wait(240) == -signal.SIGPROF
        if path.exists():
            assert content(open_mapped(path)) == expected
        if killed == 4:
            break
    assert killed == 4
    assert finish(start()) == [f"got {expected} mapped"]
    assert names(folder) == [f"{KEY}.data"]


def finish(process: Forked) -> list[str]:
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output.splitlines()


def test_concurrent_processes_share_one_file(start, folder: Path, expected: str) -> None:
    """Processes that start at once with an empty cache load the same images and leave one file."""
    processes = [start() for _ in range(4)]
    assert [finish(process) for process in processes] == [[f"got {expected} mapped"]] * 4
    assert names(folder) == [f"{KEY}.data"]


def test_file_of_another_process_is_mapped(few: Dataset, folder: Path, messages: list[str]) -> None:
    """A process that finds another's file after its own work maps that file, so that both share its pages."""
    path = folder / f"{KEY}.data"

    inodes = []

    def make() -> Dataset:
        folder.mkdir()
        write_mapped(path, few)
        inodes.append(path.stat().st_ino)
        return few

    got = cached(lambda: KEY, make, folder, messages.append)
    assert path.stat().st_ino == inodes[0]
    assert got.mapped_file == open_mapped(path).mapped_file
    assert names(folder) == [path.name]
    assert messages == []


@pytest.mark.parametrize("size", [0, 100, 5000, 10_000_000, 24_600_000])
def test_file_size_limit(start, folder: Path, expected: str, size: int) -> None:
    """If the file cannot grow, the images stay in memory, a message says so, and no partial file is left."""
    message, got = finish(start(keep_without_room, size))
    assert message.startswith(f"said {folder} cannot keep the images of noise (File too large): ")
    assert message.endswith("Make room there, or name another folder in COARSEFINE_CACHE.")
    assert got == f"got {expected} in memory"
    assert names(folder) == []
    assert finish(start()) == [f"got {expected} mapped"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one megabyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607


def test_full_disk(tiny_disk: Path, messages: list[str]) -> None:
    """A full file system is reported and holds no partial file; once there is room, the images are cached."""
    (tiny_disk / "other").write_bytes(bytes(900 * 1024))
    images = noise(images=50)
    for _ in range(2):
        assert cached(lambda: KEY, lambda: images, tiny_disk, messages.append) is images
    assert names(tiny_disk) == ["other"]
    assert len(messages) == 2
    assert "(No space left on device)" in messages[0]
    assert "Make room there" in messages[0]
    (tiny_disk / "other").unlink()
    assert content(cached(lambda: KEY, lambda: images, tiny_disk, messages.append)) == content(images)
    assert len(messages) == 2
    assert names(tiny_disk) == [f"{KEY}.data"]


def test_locked_folder(load, few: Dataset, open_folder: Path, lock, messages: list[str]) -> None:
    """Without access to the folder, images stay in memory; one message gives folder, cause and remedy."""
    folder = open_folder / "cache"
    load(folder)
    lock(folder)
    assert load(folder) is few
    (sentence,) = messages
    assert sentence == (
        f"{folder} cannot keep the images of noise (Permission denied): they stay in this process's memory. "
        "Name another folder in COARSEFINE_CACHE."
    )


def test_read_only_folder(load, few: Dataset, open_folder: Path, lock, messages: list[str]) -> None:
    """Images in a read-only folder are mapped; others are not cached, and a message says so."""
    folder = open_folder / "cache"
    load(folder)
    lock(folder, 0o555)
    assert load(folder).mapped_file is not None
    assert messages == []
    assert cached(lambda: "other", lambda: few, folder, messages.append) is few
    assert len(messages) == 1
    assert "Permission denied" in messages[0]


def test_unreadable_file_is_replaced(load, few: Dataset, open_folder: Path, lock, messages: list[str]) -> None:
    """An unreadable file in a writable folder is replaced."""
    load(open_folder)
    open_folder.chmod(0o777)
    lock(open_folder / f"{KEY}.data")
    assert content(load(open_folder)) == content(few)
    assert load(open_folder).mapped_file is not None
    assert messages == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_other_object_in_the_place_of_the_file(load, few: Dataset, folder: Path, kind: str) -> None:
    """A folder, pipe or broken link in the file's place is left unchanged, and the images are loaded."""
    path = folder / f"{KEY}.data"
    folder.mkdir()
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "dangling link": lambda: path.symlink_to("nowhere")}[kind]()
    assert content(load()) == content(few)
    assert content(load()) == content(few)
    assert names(folder) == [path.name]
    assert path.is_dir() == (kind == "folder")


def test_file_in_the_place_of_the_folder(load, few: Dataset, folder: Path, messages: list[str]) -> None:
    """A file in the folder's place is left unchanged, and a message says so."""
    folder.write_text("mine")
    assert load() is few
    assert len(messages) == 1
    assert messages[0].startswith(f"{folder} cannot keep the images")
    assert folder.read_text() == "mine"


def test_leftovers_of_dead_processes_are_removed(load, folder: Path) -> None:
    """Unfinished files of ended processes or of long ago are removed; those of living processes stay."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder.mkdir()
    left = [f"old.data-{dead.pid}-aa.part", f"older.data-{os.getpid()}-bb.part"]
    stay = [f"new.data-{os.getpid()}-cc.part", "cifar-10-binary.tar.gz", "odd.data-x-y.part"]
    for name in (*left, *stay):
        (folder / name).touch()
    os.utime(folder / left[1], (0, 0))
    load()
    assert names(folder) == sorted([*stay, f"{KEY}.data"])


@pytest.mark.parametrize("name", ["../out", "", None, "a/b"])
def test_key_is_the_name_of_a_file(name):
    """A key is refused if its file would be in another folder."""
    with pytest.raises(ValueError, match="key_of: the name is"):
        key_of(name)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [({"key": "digits"}, "key is 'digits'"), ({"make": None}, "make is None"), ({"folder": "cache"}, "a Path or None")],
)
def test_wrong_arguments_of_cached_are_refused(tmp_path, change, wanted):
    """`cached` says which argument is wrong."""
    given = {"key": lambda: "digits-1", "make": lambda: None, "folder": tmp_path, **change}
    with pytest.raises(TypeError, match=wanted):
        cached(**given)
