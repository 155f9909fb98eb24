"""The doctor's checks of the cache folder, which it does not change, and of the kernel."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from commands import coarsefine_process

from coarsefine.model.kernel.library import load, why_none
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


def kernel_finding(folder, code=0, **environment):
    """Run the doctor; return its finding about the kernel: the verdict, and what was found."""
    answer = coarsefine_process("doctor", "--json", cwd=folder, env=environment)
    assert answer.returncode == code, answer.stderr
    findings = json.loads(answer.stdout)["findings"]
    return next((finding["verdict"], finding["found"]) for finding in findings if finding["check"] == "kernel")


def test_kernel_is_named(tmp_path):
    """The finding names the instruction set and the file of the kernel, or why there is none."""
    verdict, found = kernel_finding(tmp_path)
    library = load()
    if library is None:
        assert (verdict, found) == ("note", f"none, so NumPy trains the networks, which takes longer. {why_none()}")
    else:
        assert (verdict, found) == ("ok", f"{library.instruction_set} instructions, {library.path}")


def test_kernel_that_is_switched_off_is_noted(tmp_path):
    """Training without the kernel on request is a note with the remedy."""
    verdict, found = kernel_finding(tmp_path, COARSEFINE_KERNEL="none")
    assert verdict == "note"
    assert found.endswith("takes longer. COARSEFINE_KERNEL is “none”: unset it to use the kernel.")


def test_unknown_kernel_is_unfit(tmp_path):
    """A kernel that does not exist is unfit, with exit code 2."""
    verdict, found = kernel_finding(tmp_path, code=2, COARSEFINE_KERNEL="sse9")
    assert verdict == "unfit"
    assert found.startswith("COARSEFINE_KERNEL is “sse9”: name one of ")
