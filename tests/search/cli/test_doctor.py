"""What the doctor finds in the cache folder; it looks, and changes nothing."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from coarsefine.search.cli.doctor import examine, worst
from coarsefine.search.storage.location import at_file


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Return a function that has a cache folder examined and gives the finding."""
    monkeypatch.delenv("COARSEFINE_DATA", raising=False)

    def examined(folder):
        monkeypatch.setenv("COARSEFINE_CACHE", str(folder))
        findings = examine(at_file(tmp_path / "studies.db"), None)
        assert worst(findings) == 0
        return next(finding for finding in findings if finding.check == "cache")

    return examined


def test_cache_that_is_not_there(found, tmp_path):
    """A folder that the first run will make is fine, and the doctor does not make it."""
    finding = found(tmp_path / "deep" / "cache")
    assert finding.verdict == "ok"
    assert finding.found == f"{tmp_path / 'deep' / 'cache'} is not there yet; the first run makes it"
    assert list(tmp_path.iterdir()) == []


def test_cache_with_files(found, tmp_path):
    """Files and their size are told, and nothing is added to them by looking."""
    (tmp_path / "a.data").write_bytes(bytes(3 * 2**20))
    (tmp_path / "b.tar.gz").write_bytes(bytes(2**20))
    finding = found(tmp_path)
    assert finding.verdict == "ok"
    assert "holds 2 files, 4 MiB" in finding.found
    assert len(list(tmp_path.iterdir())) == 2


def test_cache_that_is_a_file(found, tmp_path):
    """A file in the folder's place is noted with what follows from it and what to do; a run goes on without."""
    (tmp_path / "taken").write_text("mine")
    finding = found(tmp_path / "taken")
    assert finding.verdict == "note"
    assert "Not a directory" in finding.found
    assert "name another folder in COARSEFINE_CACHE" in finding.found


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users")
def test_cache_that_cannot_be_written():
    """A read-only folder is noted, whether it is there or its parent does not let it be made."""
    script = (
        "import os, sys; from pathlib import Path; from coarsefine.search.cli.doctor import _cache;"
        "os.geteuid() or os.setuid(65534);"
        "print(*(_cache(Path(folder)).verdict for folder in sys.argv[1:]))"
    )
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        command = [sys.executable, "-c", script, name, f"{name}/cache"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        Path(name).chmod(0o755)
    assert told == "note note\n"
