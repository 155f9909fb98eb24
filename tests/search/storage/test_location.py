"""Test where studies may be stored, and how a location is shown."""

import pickle
import sys
from pathlib import Path

import pytest

from coarsefine import UsageError
from coarsefine.search.storage.location import locate


@pytest.mark.parametrize("given", ["studies.db", Path("studies.db"), "sqlite:///studies.db"])
def test_files_are_located_absolutely(given, tmp_path, monkeypatch):
    """A relative path or URL names the same file after a change of the working directory."""
    monkeypatch.chdir(tmp_path)
    location = locate(given)
    assert location.path == tmp_path / "studies.db"
    assert str(location) == str(tmp_path / "studies.db")
    assert location.shown == f"sqlite:///{tmp_path / 'studies.db'}"
    assert location.folder == tmp_path
    assert locate(location) is location


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://u:secret@h:5433/d", "postgresql+psycopg://u@h:5433/d"),
        ("postgresql+psycopg://u:s%25ecret%40@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d?password=secret&sslmode=require", "postgresql+psycopg://u@h/d?sslmode=require"),
        ("postgresql://u@/d?host=/run/x&sslpassword=secret", "postgresql+psycopg://u@/d?host=%2Frun%2Fx"),
        ("postgresql://u:a/secret@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_servers_are_shown_without_passwords(given, shown):
    """A password in a URL, in its own place or as a parameter, is passed to the driver alone."""
    location = locate(given)
    assert (location.path, location.shown, str(location)) == (None, shown, shown)
    assert "ecret" in location.url
    assert "ecret" not in repr(location)
    assert location.folder == Path.cwd()
    assert pickle.loads(pickle.dumps(location)) == location  # noqa: S301 - our own


@pytest.mark.parametrize(
    "given",
    [
        "mysql://u:secret@h/d", "postgresql+psycopg2://u:secret@h/d", "postgres://u:secret@h/d", "sqlite://",
        "sqlite:///:memory:", "sqlite:///s.db?mode=ro", "sqlite://secret/s.db", "postgresql://u:secret@h:port/d",
        "postgresql://u:pa@secret@h/d", "postgresql://u:p@a/secret@h/d", "://secret", "", "a\0b",
    ],
)  # fmt: skip
def test_other_places_are_refused_without_a_password(given):
    """Locations other than SQLite files and PostgreSQL URLs are refused with the forms that are accepted."""
    with pytest.raises(UsageError, match=r"give a SQLite file, such as studies.db, or postgresql\+psycopg://") as error:
        locate(given)
    assert error.value.exit_code == 2
    if "sqlite" not in given:
        assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


def test_path_that_is_no_text_is_refused(tmp_path, monkeypatch):
    """A path with bytes that are not UTF-8 is named with its escapes: studies, JSON and pages could not hold it."""
    with pytest.raises(UsageError, match=r"bad.udcff.db' is not UTF-8: rename"):
        locate("bad\udcff.db")
    (folder := tmp_path / "bad\udcff").mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match="is not UTF-8: rename"):
        locate("studies.db")


def test_missing_driver_is_named(monkeypatch):
    """Without psycopg, a PostgreSQL URL is refused with what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"pip install .psycopg\[binary\]"):
        locate("postgresql://u@h/d")
