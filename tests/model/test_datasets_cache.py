"""Kept images: whatever happens to the file, the numbers are those of the source, or there are none."""

import dataclasses
import hashlib
import json
import os
import resource
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keep_noise
import numpy as np
import psutil
import pytest
from keep_noise import KEY, content, noise

from coarsefine.model import Hyperparameters, Training, TrainingSettings, evaluate
from coarsefine.model.datasets import Dataset, Selection, cache_folder, load_cifar10, load_digits, reopen
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
def said() -> list[str]:
    return []


@pytest.fixture
def keep(folder: Path, few: Dataset, said: list[str]) -> Callable[..., Dataset]:
    """Give a function that loads the few images from the folder, making them where they are not kept."""
    return lambda into=folder: cached(lambda: KEY, lambda: few, into, said.append)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def never() -> Dataset:
    raise AssertionError("what is kept is not made again")


# Kept and found again


def test_kept_images_are_those_that_were_made(keep, few: Dataset, folder: Path, said: list[str]) -> None:
    """Made once, mapped ever after: every number, label and word is the one of the dataset in memory."""
    first = keep()
    again = cached(lambda: KEY, never, folder, said.append)
    assert content(first) == content(again) == content(few)
    assert names(folder) == [f"{KEY}.data"]
    assert first.kept == again.kept
    assert said == []


def test_mapped_arrays_are_as_the_trainer_takes_them(keep) -> None:
    """Images are float32 in C order, labels int64, both from the start of a page, and nobody can write to them."""
    kept = keep()
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
def test_training_from_the_map_changes_no_bit(tmp_path: Path, precision: Any, order: Any) -> None:
    """Weights, losses and accuracies on all three parts are, bit for bit, those of training from memory."""
    trials = [Hyperparameters(eta, 1e-4, seed) for seed, eta in enumerate((0.03, 0.1, 0.3))]
    settings = TrainingSettings(hidden=20, batch=50, epochs=2, precision=precision, order=order)
    memory, mapped = load_digits(), load_digits(cache=tmp_path)
    assert (memory.kept, mapped.kept is None) == (None, False)
    outcomes = []
    for data in (memory, mapped):
        training = Training.start(trials, settings, data)
        reports = [training.run_epoch() for _ in range(settings.epochs)]
        parts = [evaluate(training.theta, part) for part in (data.train, data.validation, data.test)]
        outcomes.append((reports, parts, [array.tobytes() for array in training.theta]))
    assert outcomes[0] == outcomes[1]


def test_other_process_reopens_what_one_has_checked(keep, folder: Path) -> None:
    """Where and what the file is, handed on, is enough to map the same file; the source is not asked for."""
    kept = keep()
    again = reopen(kept.kept)
    assert content(again) == content(kept)
    assert again.kept == kept.kept
    assert kept.kept.path == folder / f"{KEY}.data"


def test_reopening_another_file_gives_nothing(keep, few: Dataset, folder: Path) -> None:
    """A file that is gone, cut off, or was made from other images since is not taken for the one that was checked."""
    path, kept = folder / f"{KEY}.data", keep().kept
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


def test_a_map_outlives_its_file(keep, few: Dataset, folder: Path) -> None:
    """Emptying the folder, or making a file anew, takes nothing from a process that maps it."""
    kept = keep()
    (folder / f"{KEY}.data").unlink()
    assert content(keep()) == content(kept) == content(few)


def test_digits_come_without_scikit_learn(tmp_path: Path) -> None:
    """The second process to load the digits imports neither scikit-learn nor pooch, and has the same images."""
    script = (
        "import sys; from pathlib import Path; from coarsefine.model.datasets import load_digits;"
        "print(load_digits(cache=Path(sys.argv[1])).digest, 'sklearn' in sys.modules, 'pooch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    told = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    digest = load_digits().digest
    assert told == [[digest, "True", "False"], [digest, "False", "False"]]


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """COARSEFINE_CACHE names the folder, relative to where we are; unset or empty, it is the system's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COARSEFINE_CACHE", "here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.setenv("COARSEFINE_CACHE", "")
    assert cache_folder().name == "coarsefine"
    assert cache_folder().is_absolute()


def test_normalisation_is_numbered() -> None:
    """Should this fail, kept files hold other numbers than would be made now: count `NORMALISATION` up."""
    digits = load_digits()
    numbers = hashlib.sha256(digits.train.x.tobytes() + digits.test.x.tobytes()).hexdigest()
    assert (NORMALISATION, numbers) == (1, "199c89c22f6885b003d405559b2bb8e319a8e0e4c30c1c7829e0e99ae8f3f5ec")


# The source


@pytest.fixture
def loaded(folder: Path, said: list[str]) -> Callable[[Path], Dataset]:
    return lambda source: load_cifar10(source, SMALL, say=said.append, cache=folder)


@pytest.fixture
def batch(cifar, tmp_path: Path) -> Path:
    """Give a folder of binary batches of which the first may be changed."""
    return cifar.copy_with(tmp_path / "source", "bin", cifar.encode("bin", cifar.images["data_batch_1"]))


def change_one_bit(path: Path, at: int) -> None:
    """Change a file so that neither its size nor its times tell."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)


def test_changed_folder_is_read_anew(batch: Path, loaded, said: list[str]) -> None:
    """One bit of one pixel, at the same size and time, is another dataset; changed back, it is the old one."""
    before = loaded(batch)
    change_one_bit(batch / "data_batch_1.bin", 12_345_678)
    after = loaded(batch)
    assert after.digest == load_cifar10(batch, SMALL).digest != before.digest
    assert content(after) == content(load_cifar10(batch, SMALL))
    change_one_bit(batch / "data_batch_1.bin", 12_345_678)
    assert loaded(batch).kept == before.kept
    assert said == []


def test_changed_archive_is_read_anew(batch: Path, loaded, tmp_path: Path) -> None:
    """The same holds for an archive."""
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(batch.iterdir()):
            archive.add(file.resolve(), file.name)
    before = loaded(path)
    change_one_bit(path, 12_345_678)
    assert loaded(path).digest == load_cifar10(path, SMALL).digest != before.digest


def test_other_selection_is_kept_apart(batch: Path, loaded, folder: Path) -> None:
    """Fewer validation images of the same files are another dataset, under another name."""
    fewer = dataclasses.replace(SMALL, validation_images=99)
    assert [len(loaded(batch).validation.y), len(load_cifar10(batch, fewer, cache=folder).validation.y)] == [100, 99]
    assert len(loaded(batch).validation.y) == 100
    assert len(names(folder)) == 2


def test_damaged_source_is_refused_and_not_kept(batch: Path, loaded, folder: Path) -> None:
    """Kept images do not hide that the source is cut off now; nothing is kept of what is refused."""
    loaded(batch)
    os.truncate(batch / "data_batch_1.bin", 1000)
    with pytest.raises(DataError, match="has 1,000 bytes instead of"):
        loaded(batch)
    assert len(names(folder)) == 1


def test_source_that_changes_while_it_is_read_is_not_kept(few: Dataset, folder: Path, said: list[str]) -> None:
    """Images made while their files changed under us stay in memory, and that is said."""
    keys = iter(["before", "after"])
    got = cached(lambda: next(keys), lambda: few, folder, said.append)
    assert got is few
    assert not folder.exists()
    assert len(said) == 1
    assert "changed while they were read" in said[0]


def test_download_need_not_be_there_once_its_images_are_kept(
    server, cache_folder: Path, blank_archive: bytes, said: list[str]
) -> None:
    """The official archive is known by its SHA-256: removed, and offline, its images are still those."""
    server.body = blank_archive
    archive = Archive(server.url, hashlib.sha256(blank_archive).hexdigest())
    before = load_cifar10(None, SMALL, archive=archive, cache=cache_folder)
    (cache_folder / archive.name).unlink()
    server.close()
    again = load_cifar10(None, SMALL, archive=archive, cache=cache_folder, say=said.append)
    assert again.kept == before.kept
    assert said == []


# Damage


def check_made_anew(keep, few: Dataset, path: Path, said: list[str]) -> None:
    """The file as it is now is refused in one line and replaced, and the numbers are right before and after."""
    with pytest.raises(CacheError) as caught:
        open_mapped(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 150
    said.clear()
    assert content(keep()) == content(few)
    assert said == [f"{message} It is made again."]
    said.clear()
    assert content(keep()) == content(few)
    assert said == []
    assert names(path.parent) == [path.name]


@pytest.fixture
def path(keep, folder: Path) -> Path:
    keep()
    return folder / f"{KEY}.data"


@pytest.mark.parametrize("left", [0, 1, PREFIX - 1, PREFIX, PREFIX + 10, 4095, 4096, 20_000, -4096, -1])
def test_truncated_file(keep, few: Dataset, path: Path, said: list[str], left: int) -> None:
    """A file that is cut off anywhere is made anew."""
    os.truncate(path, left if left >= 0 else path.stat().st_size + left)
    check_made_anew(keep, few, path, said)


@pytest.mark.parametrize("more", [1, 4096])
def test_longer_file(keep, few: Dataset, path: Path, said: list[str], more: int) -> None:
    """A file with something behind its end is made anew."""
    os.truncate(path, path.stat().st_size + more)
    check_made_anew(keep, few, path, said)


def test_zeroed_file(keep, few: Dataset, path: Path, said: list[str]) -> None:
    """A file of the right size whose content never reached the disk is made anew."""
    length = path.stat().st_size
    for zeroed in (range(length), range(4096, length)):
        whole = bytearray(path.read_bytes())
        whole[zeroed.start : zeroed.stop] = bytes(len(zeroed))
        path.write_bytes(whole)
        check_made_anew(keep, few, path, said)


def test_any_flipped_byte_is_found(path: Path) -> None:
    """One bit anywhere in prefix, header or arrays, and even in what fills the pages between arrays, is found."""
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


def test_flipped_byte(keep, few: Dataset, path: Path, said: list[str]) -> None:
    """A damaged number is never used: the file is made anew."""
    change_one_bit(path, 10_000)
    check_made_anew(keep, few, path, said)


@pytest.mark.parametrize("version", [0, VERSION + 1, 2**32 - 1])
def test_file_of_another_form(keep, few: Dataset, path: Path, said: list[str], version: int) -> None:
    """A file of a newer or older form is not read as one of this form."""
    whole = bytearray(path.read_bytes())
    struct.pack_into("<I", whole, 16, version)
    path.write_bytes(whole)
    with pytest.raises(CacheError, match=f"has the form {version}, and this version of Coarsefine reads form"):
        open_mapped(path)
    check_made_anew(keep, few, path, said)


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
def test_hostile_header(keep, few: Dataset, path: Path, said: list[str], case: str) -> None:
    """Whatever a header claims, be it under the right SHA-256, no memory is taken for it and no number comes of it."""
    forge(path, HOSTILE[case])
    check_made_anew(keep, few, path, said)
    before = psutil.Process().memory_info().rss
    forge(path, HOSTILE[case])
    with pytest.raises(CacheError):
        open_mapped(path)
    assert psutil.Process().memory_info().rss - before < 50 * 2**20


def forge(path: Path, claimed: bytes | dict[str, Any]) -> None:
    """Give a file another header, or change fields of its own, with a prefix that fits."""
    whole = path.read_bytes()
    length = struct.unpack_from("<I", whole, 20)[0]
    if isinstance(claimed, dict):
        claimed = json.dumps(json.loads(whole[PREFIX : PREFIX + length]) | claimed).encode()
    prefix = struct.pack("<16sII32s", whole[:16], VERSION, len(claimed), hashlib.sha256(claimed).digest())
    front = prefix + claimed
    path.write_bytes(front + bytes(-len(front) % 4096) + whole[4096:])


def test_header_that_claims_to_be_endless(keep, few: Dataset, path: Path, said: list[str]) -> None:
    """A header said to have 4 GiB is not read to its end."""
    whole = bytearray(path.read_bytes())
    struct.pack_into("<I", whole, 20, 2**32 - 1)
    path.write_bytes(whole)
    check_made_anew(keep, few, path, said)


# Faults of the disk


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give a function that starts a process which keeps images as soon as it reads a line."""
    running: list[subprocess.Popen[str]] = []

    def started(**options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, keep_noise.__file__, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        running.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def expected() -> str:
    return content(noise())


def size_of_part(folder: Path) -> int:
    """Return the size of the file being written, -1 if there is none."""
    try:
        return max((path.stat().st_size for path in folder.glob("*.data-new-*")), default=-1)
    except OSError:  # it was renamed between the two
        return -1


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> bool:
    """Send SIGKILL as soon as `reached` says so; return whether the process was still at it."""
    process.stdin.write("\n")
    process.stdin.flush()
    while process.poll() is None and not reached():
        time.sleep(0.0002)
    process.kill()
    process.communicate()
    return process.returncode < 0


@pytest.mark.parametrize("least", [0, 1, 1_000_000, 12_000_000, 24_000_000])
def test_killed_while_the_file_is_written(start, folder: Path, expected: str, least: int) -> None:
    """kill -9 as the file is begun, amid it and as it is whole: the next process finds no half file, and tidies up."""
    path = folder / f"{KEY}.data"
    while not kill_when(start(), lambda: size_of_part(folder) >= least):
        path.unlink()  # it was renamed before we could see it: again
    if path.exists():
        assert content(open_mapped(path)) == expected
    assert finish(start()) == [f"got {expected} mapped"]
    assert names(folder) == [f"{KEY}.data"]


def test_killed_at_any_time(start, folder: Path, expected: str) -> None:
    """kill -9 at random times, again and again: a file that is there is whole, and the end is that of one calm run."""
    calm = start()
    began = time.monotonic()
    finish(calm)
    path, seconds = folder / f"{KEY}.data", time.monotonic() - began
    killed = 0
    for share in np.random.default_rng(0).uniform(size=60):  # on a busy machine the calm run took longer than others
        path.unlink(missing_ok=True)
        process = start()
        deadline = time.monotonic() + share * seconds
        killed += kill_when(process, lambda deadline=deadline: time.monotonic() >= deadline)
        if path.exists():
            assert content(open_mapped(path)) == expected
        if killed == 4:
            break
    assert killed == 4
    assert finish(start()) == [f"got {expected} mapped"]
    assert names(folder) == [f"{KEY}.data"]


def finish(process: subprocess.Popen[str]) -> list[str]:
    told, _ = process.communicate("\n", timeout=240)
    assert process.returncode == 0
    return told.splitlines()


def test_two_processes_at_once(start, folder: Path, expected: str) -> None:
    """Processes that find nothing at the same moment all get the same images, and leave one file."""
    processes = [start() for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [finish(process) for process in processes] == [[f"got {expected} mapped"]] * 4
    assert names(folder) == [f"{KEY}.data"]


def test_other_process_was_first(few: Dataset, folder: Path, said: list[str]) -> None:
    """Who finds the file there after all maps that one, so that both share its pages."""
    path = folder / f"{KEY}.data"

    inodes = []

    def make() -> Dataset:
        folder.mkdir()
        write_mapped(path, few)
        inodes.append(path.stat().st_ino)
        return few

    got = cached(lambda: KEY, make, folder, said.append)
    assert path.stat().st_ino == inodes[0]
    assert got.kept == open_mapped(path).kept
    assert names(folder) == [path.name]
    assert said == []


@pytest.mark.parametrize("size", [0, 100, 5000, 10_000_000, 24_600_000])
def test_files_may_grow_no_further(start, folder: Path, expected: str, size: int) -> None:
    """Where the disk takes no more, the images stay in memory, that is said, and nothing half is left."""
    process = start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    told, got = finish(process)
    assert told.startswith(f"said {folder} cannot keep the images of noise (File too large): ")
    assert told.endswith("Make room there, or name another folder in COARSEFINE_CACHE.")
    assert got == f"got {expected} in memory"
    assert names(folder) == []
    assert finish(start()) == [f"got {expected} mapped"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of one megabyte."""
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


def test_full_disk(tiny_disk: Path, said: list[str]) -> None:
    """A file system that is really full says so, and keeps no half file; with room made, the images are kept."""
    (tiny_disk / "other").write_bytes(bytes(900 * 1024))
    images = noise(images=50)
    for _ in range(2):
        assert cached(lambda: KEY, lambda: images, tiny_disk, said.append) is images
    assert names(tiny_disk) == ["other"]
    assert len(said) == 2
    assert "(No space left on device)" in said[0]
    assert "Make room there" in said[0]
    (tiny_disk / "other").unlink()
    assert content(cached(lambda: KEY, lambda: images, tiny_disk, said.append)) == content(images)
    assert len(said) == 2
    assert names(tiny_disk) == [f"{KEY}.data"]


def test_folder_that_may_not_be_entered(keep, few: Dataset, open_folder: Path, lock, said: list[str]) -> None:
    """Without any right to the folder, the images stay in memory; folder, cause and remedy are said in one sentence."""
    folder = open_folder / "cache"
    keep(folder)
    lock(folder)
    assert keep(folder) is few
    (sentence,) = said
    assert sentence == (
        f"{folder} cannot keep the images of noise (Permission denied): they stay in this process's memory. "
        "Name another folder in COARSEFINE_CACHE."
    )


def test_read_only_folder(keep, few: Dataset, open_folder: Path, lock, said: list[str]) -> None:
    """What a read-only folder keeps is mapped; what it does not keep, it cannot keep, and that is said."""
    folder = open_folder / "cache"
    keep(folder)
    lock(folder, 0o555)
    assert keep(folder).kept is not None
    assert said == []
    assert cached(lambda: "other", lambda: few, folder, said.append) is few
    assert len(said) == 1
    assert "Permission denied" in said[0]


def test_unreadable_file_is_replaced(keep, few: Dataset, open_folder: Path, lock, said: list[str]) -> None:
    """A file that may not be read, in a folder that may be written, is made anew."""
    keep(open_folder)
    open_folder.chmod(0o777)
    lock(open_folder / f"{KEY}.data")
    assert content(keep(open_folder)) == content(few)
    assert keep(open_folder).kept is not None
    assert said == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_something_else_in_the_place_of_the_file(keep, few: Dataset, folder: Path, kind: str) -> None:
    """A folder is left alone, a pipe not waited for: whatever stands there, the images are right."""
    path = folder / f"{KEY}.data"
    folder.mkdir()
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "dangling link": lambda: path.symlink_to("nowhere")}[kind]()
    assert content(keep()) == content(few)
    assert content(keep()) == content(few)
    assert names(folder) == [path.name]
    assert path.is_dir() == (kind == "folder")


def test_file_in_the_place_of_the_folder(keep, few: Dataset, folder: Path, said: list[str]) -> None:
    """A file where the folder should be is left alone, and that is said."""
    folder.write_text("mine")
    assert keep() is few
    assert len(said) == 1
    assert said[0].startswith(f"{folder} cannot keep the images")
    assert folder.read_text() == "mine"


def test_leftovers_of_the_dead_are_removed(keep, folder: Path) -> None:
    """Unfinished files of processes that are no more, or of long ago, are removed; a living one's stays."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder.mkdir()
    left = [f"old.data-{dead.pid}-aa.part", f"older.data-{os.getpid()}-bb.part"]
    stay = [f"new.data-{os.getpid()}-cc.part", "cifar-10-binary.tar.gz", "odd.data-x-y.part"]
    for name in (*left, *stay):
        (folder / name).touch()
    os.utime(folder / left[1], (0, 0))
    keep()
    assert names(folder) == sorted([*stay, f"{KEY}.data"])
