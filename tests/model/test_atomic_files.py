"""Test atomic files, and the temporary files that killed processes leave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coarsefine.model import atomic_files
from coarsefine.model.atomic_files import atomic_file, remove_leftovers, temporary_file


@pytest.fixture
def dead() -> int:
    """Return the process number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def named_on(machine: str, pid: int, path: Path, patch: pytest.MonkeyPatch) -> Path:
    """Return the temporary name that a process of a machine chooses."""
    with patch.context() as there:
        there.setattr(atomic_files, "machine_id", lambda: machine)
        there.setattr(os, "getpid", lambda: pid)
        with temporary_file(path) as new:
            return new


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """An exception during a write leaves the old file and nothing else."""
    path = tmp_path / "a" / "page.html"
    with atomic_file(path) as file:
        file.write(b"old")
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.writelines([b"half", "no bytes"])
    assert path.read_bytes() == b"old"
    assert names(path.parent) == ["page.html"]


def test_temporary_names_are_unique(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers of a file use different names, in one process and in containers with the same process number."""
    path = tmp_path / "page.html"
    with temporary_file(path) as one, temporary_file(path) as two:
        assert one != two
    here, there = (named_on(machine, 1, path, monkeypatch).name for machine in ("here", "there"))
    assert here.split("-")[2] != there.split("-")[2]


def test_leftovers_of_dead_processes_are_removed(tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of dead processes are removed; those of other machines only once they are old, other programs' never."""
    machine, path = atomic_files.machine_id(), tmp_path / "studies.db"
    left = [
        named_on(machine, dead, path, monkeypatch).name,
        named_on(machine, dead, path, monkeypatch).name + "-journal",
        f"digits-0a.data-{dead}-0a1b2c3d.part",
    ]
    stay = [
        named_on(machine, os.getpid(), path, monkeypatch).name,
        named_on("another", dead, path, monkeypatch).name,
        f"holiday-new-{dead}",
        "studies.db",
        "studies.db-new-one",
    ]
    old = named_on("another", dead, path, monkeypatch).name
    photos = "photos-new-1"
    for name in (*left, *stay, old, photos):
        (tmp_path / name).touch()
    for name in (old, photos):
        os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([*stay, photos])


def test_only_leftovers_of_the_named_file_are_removed(tmp_path: Path, dead: int) -> None:
    """With a name, earlier versions' leftovers of that file are removed, too; a missing folder has none."""
    for name in (f"a.db-new-{dead}", f"a.db-new-{dead}-journal", f"a.db-new-{os.getpid()}", f"b.db-new-{dead}"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, "a.db")
    remove_leftovers(tmp_path / "missing")
    assert names(tmp_path) == sorted([f"a.db-new-{os.getpid()}", f"b.db-new-{dead}"])
