"""The doctor's checks of the folders that a campaign writes to, which change nothing, and of the kernel."""

import json
from pathlib import Path

import pytest
from commands import coarsefine_process, drop_root_access
from forked import forked_command

from coarsefine.model.kernel.library import Library, load, why_none
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


def test_places_that_cannot_be_written_are_found(tmp_path):
    """A storage in a folder that cannot be written is unfit, as is such a file; for a cache it is a note."""
    storage, cache = tmp_path / "studies.db", tmp_path / "cache"
    storage.write_bytes(b"SQLite format 3\0")
    storage.chmod(0o444)
    tmp_path.chmod(0o555)
    answer = coarsefine_process(
        "doctor", "--json", cwd=tmp_path, prefix=drop_root_access(), env={"COARSEFINE_CACHE": str(cache)}
    )
    tmp_path.chmod(0o755)
    assert answer.returncode == 5, answer.stderr
    found = {f["check"]: (f["verdict"], f["found"]) for f in json.loads(answer.stdout)["findings"]}
    access = "grant yourself write access to it, or give another --storage."
    assert found["disk"] == ("unfit", f"{tmp_path} cannot be written: {access}")
    assert found["storage"][0] == "unfit"
    assert found["storage"][1].startswith(f"{storage}: Permission denied. Grant yourself read and write access")
    assert found["cache"][0] == "note"
    assert "and cannot be written" in found["cache"][1]


def test_missing_folder_is_unfit(cli, tmp_path):
    """A storage in a folder that does not exist is unfit, because a run refuses it."""
    code, out, _ = cli("doctor", "--storage", "missing/studies.db")
    assert code == 5
    assert f"unfit  disk: There is no folder {tmp_path / 'missing'}: make it, or give another --storage." in out
    assert list(tmp_path.iterdir()) == []


def kernel_finding(folder, code=0, **environment):
    """Run the doctor; return its finding about the kernel: the verdict, and what was found."""
    answer = forked_command("doctor", "--json", cwd=folder, env=environment)
    assert answer.returncode == code, answer.stderr
    findings = json.loads(answer.stdout)["findings"]
    return next((finding["verdict"], finding["found"]) for finding in findings if finding["check"] == "kernel")


def test_kernel_is_named(tmp_path):
    """The finding names the instruction set and the file of the kernel, or why there is none."""
    verdict, found = kernel_finding(tmp_path)
    library = load()
    if library is None:
        assert (verdict, found) == ("note", f"none: training uses NumPy, which is slower. {why_none()}")
    else:
        assert (verdict, found) == ("ok", f"{library.instruction_set} instructions, {library.path}")


def test_kernel_that_is_not_the_fastest_is_noted(monkeypatch):
    """A faster library that is missing is a note with the remedy."""
    monkeypatch.setattr("coarsefine.search.cli.doctor.load_kernel", lambda: Library(Path("v3.so"), "x86-64-v3", None))
    monkeypatch.setattr("coarsefine.search.cli.doctor.why_not_faster", lambda: "v4.so is missing: build it.")
    finding = next(each for each in examine(at_file(Path("studies.db")), None) if each.check == "kernel")
    assert (finding.verdict, finding.found) == ("note", "x86-64-v3 instructions, v3.so. v4.so is missing: build it.")


def test_kernel_that_is_switched_off_is_noted(tmp_path):
    """Training without the kernel on request is a note with the remedy."""
    verdict, found = kernel_finding(tmp_path, COARSEFINE_KERNEL="none")
    assert verdict == "note"
    assert found.endswith("which is slower. COARSEFINE_KERNEL is “none”: unset it to use the kernel.")


def test_unknown_kernel_is_unfit(tmp_path):
    """A kernel that does not exist is unfit, with exit code 2."""
    verdict, found = kernel_finding(tmp_path, code=2, COARSEFINE_KERNEL="sse9")
    assert verdict == "unfit"
    assert found.startswith("COARSEFINE_KERNEL is “sse9”, which cannot be used: the instruction sets are ")
