"""The doctor's check of the cache folder, which changes nothing."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from coarsefine.search.cli.doctor import examine, exit_code_of
from coarsefine.search.storage.location import at_file


@pytest.fixture
def examine_cache(tmp_path, monkeypatch):
    """Return a function that returns the doctor's finding about a cache folder."""
    monkeypatch.delenv("COARSEFINE_DATA", raising=False)

    def examine_folder(folder):
        monkeypatch.setenv("COARSEFINE_CACHE", str(folder))
        findings = examine(at_file(tmp_path / "studies.db"), None)
        assert exit_code_of(findings) == 0
        return next(finding for finding in findings if finding.check == "cache")

    return examine_folder


def test_missing_cache_is_fine(examine_cache, tmp_path):
    """A missing cache folder is fine, because the first run creates it; the doctor does not."""
    finding = examine_cache(tmp_path / "deep" / "cache")
    assert finding.verdict == "ok"
    assert finding.found == f"{tmp_path / 'deep' / 'cache'} is not there yet; the first run makes it"
    assert list(tmp_path.iterdir()) == []


def test_cache_with_files_is_counted(examine_cache, tmp_path):
    """The finding gives the number and size of the files, and no file is added."""
    (tmp_path / "a.data").write_bytes(bytes(3 * 2**20))
    (tmp_path / "b.tar.gz").write_bytes(bytes(2**20))
    finding = examine_cache(tmp_path)
    assert finding.verdict == "ok"
    assert "holds 2 files, 4 MiB" in finding.found
    assert len(list(tmp_path.iterdir())) == 2


def test_cache_that_is_a_file_is_noted(examine_cache, tmp_path):
    """A file in the place of the folder is a note with the remedy, because runs work without a cache."""
    (tmp_path / "taken").write_text("mine")
    finding = examine_cache(tmp_path / "taken")
    assert finding.verdict == "note"
    assert "Not a directory" in finding.found
    assert "name another folder in COARSEFINE_CACHE" in finding.found


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users")
def test_read_only_cache_is_noted():
    """A cache folder that cannot be written or created is a note."""
    script = (
        "import os, sys; from pathlib import Path; from coarsefine.search.cli.doctor import _cache;"
        "os.geteuid() or os.setuid(65534);"
        "print(*(_cache(Path(folder)).verdict for folder in sys.argv[1:]))"
    )
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        command = [sys.executable, "-c", script, name, f"{name}/cache"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        Path(name).chmod(0o755)
    assert output == "note note\n"
