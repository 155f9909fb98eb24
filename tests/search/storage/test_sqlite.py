"""Test SQLite files: where they may be stored, their journal mode, their backups, and messages about damage."""

import collections
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from processes import dead
from stored import table

from coarsefine import Observer, StorageError, run
from coarsefine.search.cli.doctor import examine
from coarsefine.search.storage import optuna_storage, sqlite
from coarsefine.search.storage.location import at_file, locate
from coarsefine.search.storage.opening import create_storage, open_storage
from coarsefine.search.training.user_code.command import Command

Mount = collections.namedtuple("Mount", "mountpoint fstype")


def test_network_file_system_is_refused_before_anything_is_written(small, tmp_path, monkeypatch):
    """Run and doctor refuse a network file system, where SQLite's locks fail, and write nothing."""
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path), "nfs4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    place = tmp_path / "new" / "studies.db"
    with pytest.raises(StorageError, match="is on nfs4, and SQLite needs a local disk") as error:
        run(small, place)
    findings = [finding.found for finding in examine(at_file(place), None) if finding.check == "file system"]
    assert findings == [str(error.value)]
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_link_to_a_network_file_system_is_refused(tmp_path, monkeypatch):
    """A link to a network file system is refused like the file system itself."""
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path / "far"), "cifs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    with pytest.raises(StorageError, match="is on cifs"):
        sqlite.file_system(tmp_path / "near" / "studies.db")


def mode_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


@pytest.mark.parametrize(("here", "after"), [("delete", "delete"), ("wal", "wal")])
def test_file_in_wal_is_changed_if_wal_is_unsafe_here(made_file, tmp_path, monkeypatch, here, after):
    """A file in WAL from another machine is changed if this machine's library is not safe with WAL."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
    monkeypatch.setattr(sqlite, "journal_mode", lambda: here)
    create_storage(locate(path)).close()
    assert mode_of(path) == after


def test_storage_without_an_owner_is_closed(tmp_path, monkeypatch):
    """If the process cannot be identified, opening a storage fails and leaves no connection."""
    closed = []
    monkeypatch.setattr(optuna_storage.Storage, "remove_session", lambda *_: closed.append(True))
    monkeypatch.setattr(optuna_storage, "Owner", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        create_storage(locate(tmp_path / "studies.db"))
    assert closed


def test_each_stage_leaves_a_backup(small, tmp_path):
    """After each stage there is a complete copy of the studies, which opens like the original."""
    run(small, tmp_path / "studies.db")
    folder = tmp_path / "studies.db-backups"
    assert sorted(path.name for path in folder.iterdir()) == ["small+coarse.db", "small+fine.db"]
    assert table(folder / "small+fine.db") == table(tmp_path / "studies.db")
    assert {study for study, _ in table(folder / "small+coarse.db")} == {"small/coarse"}


def test_backups_are_bounded_and_the_newest_good_one_is_named(made_file, tmp_path):
    """Five backups are kept; the message about a damaged file names the newest backup that is intact."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    for index in range(7):
        copy = sqlite.back_up(path, f"stage {index}")
        os.utime(copy, (index, index))
    folder = copy.parent
    assert sorted(p.name for p in folder.iterdir()) == [f"stage {index}.db" for index in range(2, 7)]
    (folder / "stage 6.db").write_bytes(b"SQLite format 3\0 cut off")
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 8] = bytes(4096 * 5)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"damaged .*: move it away, and put back its newest good backup") as error:
        create_storage(locate(path))
    assert str(error.value).endswith(f"{folder / 'stage 5.db'}.")
    assert path.read_bytes() == content


def test_large_file_is_copied_as_often_as_it_pays(made_file, tmp_path, monkeypatch):
    """A small file is copied after each stage, a large one so that copying takes a twentieth of the time at most."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    os.utime(sqlite.back_up(path, "stage"), (1000, 1000))
    assert sqlite.backup_pays(path, now=1000.0)
    monkeypatch.setattr(sqlite, "_ALWAYS_COPIED", 0)
    monkeypatch.setattr(sqlite, "_COPIED_A_SECOND", path.stat().st_size)  # a copy takes a second
    assert [sqlite.backup_pays(path, now=now) for now in (1000.0, 1019.0, 1021.0, 900.0)] == [False, False, True, True]


def test_backups_that_another_process_removes_meanwhile_are_passed_over(made_file, tmp_path, monkeypatch):
    """Backups can be made, found and dated while another process removes old ones."""
    path, stat = tmp_path / "studies.db", Path.stat
    shutil.copy(made_file, path)
    for label in ("old", "new"):
        sqlite.back_up(path, label)

    def removed_first(self, **options):
        if self.name == "old.db":
            self.unlink(missing_ok=True)
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", removed_first)
    monkeypatch.setattr(sqlite, "_ALWAYS_COPIED", 0)
    assert not sqlite.backup_pays(path)
    sqlite.back_up(path, "old")
    assert sqlite.back_up(path, "next") in [*sqlite.good_backups(path)]


def test_backup_of_a_deletion_is_kept(made_file, tmp_path):
    """The copy made before a campaign is deleted outlasts the five copies after stages, which it does not displace."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    deleted = sqlite.back_up(path, sqlite.label_of_deletion("small"))
    os.utime(deleted, (0, 0))
    for index in range(6):
        os.utime(sqlite.back_up(path, f"stage {index}"), (index + 1, index + 1))
    found = sorted(copy.name for copy in deleted.parent.iterdir())
    assert found == [deleted.name, *(f"stage {index}.db" for index in range(1, 6))]


def test_copy_of_a_file_in_wal_is_a_single_file(made_file, tmp_path):
    """A backup of a database in WAL mode is one file with everything, which can be read without writing beside it."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("INSERT INTO studies (study_name) VALUES ('new')")
        connection.commit()
        copy = sqlite.back_up(path, "stage")
    assert [*sqlite.good_backups(path)] == [copy]
    assert [place.name for place in copy.parent.iterdir()] == ["stage.db"]
    with closing(sqlite3.connect(copy)) as reader:
        assert reader.execute("SELECT study_name FROM studies").fetchall() == [("new",)]


def test_name_that_is_too_long_is_refused(tmp_path):
    """A name that leaves no room for those of the files beside it is refused before anything is made."""
    with pytest.raises(
        StorageError, match=r"name of the file is too long: give a --storage whose name has at most \d+"
    ):
        create_storage(locate(tmp_path / f"{'x' * 240}.db"))
    assert list(tmp_path.iterdir()) == []


def test_unchanged_file_is_searched_for_damage_once(made_file, tmp_path, monkeypatch):
    """A process looks for damage in the whole file once, and again after it has changed; its workers do not."""
    path, whole = tmp_path / "studies.db", []
    shutil.copy(made_file, path)
    inspect = sqlite._inspect
    monkeypatch.setattr(sqlite, "_inspect", lambda path, **how: whole.append(how["whole"]) or inspect(path, **how))
    for checked in (False, False, True):
        open_storage(locate(path), writing=True, checked=checked).close()
    path.touch()
    open_storage(locate(path)).close()
    assert whole == [True, False, False, True]


def test_next_backup_removes_the_leftover_of_a_killed_one(made_file, tmp_path):
    """A backup removes the partial copy that a killed process left of the same name."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    copy = sqlite.back_up(path, "stage")
    leftover = copy.with_name(f"stage.db-new-{dead()}")
    leftover.write_bytes(b"half")
    sqlite.back_up(path, "stage")
    assert [p.name for p in copy.parent.iterdir()] == ["stage.db"]


def test_second_name_that_a_killed_process_left_is_removed(made_file, tmp_path):
    """A process killed right after it put the file in place leaves a second name, which the next one removes."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    path.with_name(f"studies.db-new-{dead()}").hardlink_to(path)
    create_storage(locate(path)).close()
    assert [p.name for p in tmp_path.iterdir()] == ["studies.db"]


def test_failed_backup_is_reported_and_does_not_end_the_run(small, tmp_path):
    """If a backup cannot be written, the run reports that and continues to its end."""
    (tmp_path / "studies.db-backups").write_text("in the way")
    messages = []

    class RecordingObserver(Observer):
        def on_message(self, sentence):
            messages.append(sentence)

    assert run(small, tmp_path / "studies.db", observer=RecordingObserver()).state == "done"
    assert [sentence.split(".")[0] for sentence in messages] == [
        "There is no backup of stage coarse",
        "There is no backup of stage fine",
    ]


def test_backup_excludes_uncommitted_writes(made_file, tmp_path):
    """A backup that is made during another process's transaction does not contain its writes."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO studies (study_name) VALUES ('unfinished')")
        copy = sqlite.back_up(path, "stage")
        writer.commit()
    with closing(sqlite3.connect(copy)) as reader:
        assert reader.execute("SELECT count(*) FROM studies").fetchone() == (0,)


def test_file_of_an_earlier_build_is_refused(made_file, tmp_path):
    """A lease table without today's columns is refused with a message before anything is trained."""
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE lease DROP COLUMN story")
    with pytest.raises(StorageError, match="'lease' was made by an earlier Coarsefine") as error:
        create_storage(locate(path))
    assert error.value.exit_code == 5


def test_nothing_drops_the_lock_of_a_transaction(made_file, tmp_path):
    """While a thread of this process writes, no check, reading or backup of the file lets another process write.

    With POSIX, a process that opens and closes a file loses all its locks on it.
    """
    path = tmp_path / "studies.db"
    shutil.copy(made_file, path)
    words = [
        sys.executable,
        "-c",
        f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')",
    ]
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        open_storage(locate(path), writing=True).close()
        sqlite.back_up(path, "stage")
        assert [*sqlite.good_backups(path)]
        examine(locate(path), None)
        Command.at(tmp_path, ["train", "studies.db", f"--storage={path.name}"]).source.as_attr()
        other = subprocess.run(words, check=False, capture_output=True, text=True)
    assert "database is locked" in other.stderr
