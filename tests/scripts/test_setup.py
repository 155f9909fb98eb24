"""scripts/setup installs from the locks: for running, for development on top, once, and with a reason if it cannot."""

import fcntl
import hashlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_kernel
import tiny_wheels
from commands import drop_root_access
from scripted import SCRIPTS
from tiny_wheels import write_wheel
from wanted import want

from coarsefine.model.kernel.instruction_sets import instruction_sets_of
from installation.failures import explain
from installation.progress import Progress

PROJECT = """
[build-system]
requires = []
build-backend = "tiny_wheels"
backend-path = ["."]

[project]
name = "checkout"
version = "1"
"""
SUMMARY = re.compile(r"^Installed in \d+\.\d s: (\d+) packages and \d+ MB in \.venv\.$", re.MULTILINE)
WAITING = "Waiting for another installation into .venv ...\n"


class Checkout:
    """A checkout that needs the package `one` to run, and `two` on top for development; the index has both."""

    def __init__(self, folder, programs):
        self.folder = folder / "checkout"
        self.index = folder / "index"
        self.index.mkdir()
        shutil.copytree(SCRIPTS / "installation", self.folder / "scripts/installation")
        shutil.copy(SCRIPTS / "setup", self.folder / "scripts")
        tiny_kernel.copy_package(self.folder)
        shutil.copy(tiny_wheels.__file__, self.folder)
        self.write("pyproject.toml", PROJECT)
        entries = [f"{name}==1 --hash=sha256:{hash_of(write_wheel(self.index, name))}\n" for name in ("one", "two")]
        self.write("requirements.lock", entries[0])
        self.write("requirements-dev.lock", "".join(entries))
        others = ("PIP_", "UV_", "PYTHON")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(others)} | {
            "PATH": f"{programs}:{os.defpath}",
            "PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "PIP_RETRIES": "1",
            "UV_NO_CONFIG": "1",
            "UV_OFFLINE": "1",
            "UV_FIND_LINKS": str(self.index),
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_HTTP_RETRIES": "0",
        }

        tiny_kernel.write_zig(self.index).rename(self.folder / "requirements-kernel.lock")

    @property
    def libraries(self):
        """The names of the kernel's libraries."""
        return sorted(path.name for path in (self.folder / "model/kernel/libraries").glob("*"))

    def write(self, name, text):
        """Write a file of the checkout."""
        (self.folder / name).write_text(text, "utf-8")

    @property
    def packages(self):
        """The folder of the installed packages."""
        return self.folder / ".venv/lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages"

    def start(self, *arguments, prefix=(), **environment):
        """Start scripts/setup in another folder."""
        return subprocess.Popen(
            [*prefix, self.folder / "scripts/setup", *arguments], cwd=self.index, env=self.environment | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def set_up(self, *arguments, code=0, prefix=(), **environment):
        """Run scripts/setup; check its exit code and that it prints nothing to stdout; return its stderr."""
        process = self.start(*arguments, prefix=prefix, **environment)
        stdout, stderr = process.communicate(timeout=240)
        assert (process.returncode, stdout) == (code, ""), stderr
        return stderr

    def installed(self):
        """Return the names of the installed packages, less those that Python's venv module installs."""
        names = {path.name.partition("-")[0] for path in self.packages.glob("*.dist-info")}
        return names - {"pip", "setuptools"}


def hash_of(file):
    """Return a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def uv(tmp_path_factory):
    """Return a folder that has uv and nothing else."""
    found = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if found is None:
        want("uv is not installed: scripts/setup --dev installs it")
    folder = tmp_path_factory.mktemp("programs")
    (folder / "uv").symlink_to(found)
    return folder


@pytest.fixture
def checkout(tmp_path, uv):
    """Return a checkout in which nothing is installed, on a machine with uv."""
    return Checkout(tmp_path, uv)


@pytest.fixture(scope="module")
def installed_twice(tmp_path_factory, uv):
    """Install a checkout by two processes at once; return the checkout, and each one's first line and later output."""
    checkout = Checkout(tmp_path_factory.mktemp("ready"), uv)
    with (checkout.folder / ".venv.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = [checkout.start(), checkout.start()]
        waiting = [process.stderr.readline() for process in processes]
    outputs = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    return checkout, waiting, outputs


@pytest.fixture
def ready(installed_twice):
    """Return a checkout in which what running needs is installed; the tests of the file share it."""
    return installed_twice[0]


def test_two_at_once(installed_twice):
    """Two installations into one checkout wait for each other and say so; the second finds everything installed."""
    _, waiting, outputs = installed_twice
    assert waiting == [WAITING, WAITING]
    assert sorted(bool(SUMMARY.search(output)) for output in outputs) == [False, True]


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_development_is_installed_on_top_of_running(tmp_path, tool, request):
    """The first call installs what running needs, `--dev` adds the rest, and further calls do nothing."""
    if tool == "uv":
        checkout, _, outputs = request.getfixturevalue("installed_twice")
        said = "".join(outputs)
    else:
        checkout = Checkout(tmp_path, tmp_path / "none")
        said = checkout.set_up()
    assert checkout.installed() == {"one", "checkout"}
    assert f"packages, with {tool} ..." in said
    assert int(SUMMARY.search(said).group(1)) == len(list(checkout.packages.glob("*.dist-info")))
    before = (checkout.packages / "one.py").stat().st_ino
    assert SUMMARY.search(checkout.set_up("--dev"))
    assert checkout.installed() == {"one", "two", "checkout"}
    assert (checkout.packages / "one.py").stat().st_ino == before, "it was not installed again"
    assert checkout.set_up() == checkout.set_up("--dev") == ""


def test_changed_lock(ready):
    """If a lock changes, a new environment replaces the old one. Development includes running."""
    ready.set_up("--dev")
    (ready.packages / "stray.py").touch()
    ready.write("requirements-dev.lock", (ready.folder / "requirements-dev.lock").read_text() + "# changed\n")
    assert ready.set_up() == "", "what running needs is still installed"
    assert ready.set_up("--dev").startswith("Making .venv with Python 3.")
    assert ready.installed() == {"one", "two", "checkout"}
    assert not (ready.packages / "stray.py").exists()
    assert ready.set_up() == ""


def test_changed_project_is_installed_again(ready):
    """If the part of pyproject.toml that says how the checkout is installed changes, it is installed again, alone."""
    ready.write("pyproject.toml", f"{PROJECT}\n[tool.ruff]\nline-length = 120\n")
    assert ready.set_up() == ""
    ready.write("pyproject.toml", f"{PROJECT}\ndescription = 'another'\n")
    assert ready.set_up() == "Installing the checkout ...\n"
    ready.write("pyproject.toml", PROJECT)


def test_interrupted_installation_starts_again(ready):
    """If the checkout moves, a new environment is made. After a kill, the next call waits for what is still at work."""
    ready.set_up()
    ready.folder = ready.folder.rename(ready.folder.with_name("moved"))
    process = ready.start()
    assert process.stderr.readline().startswith("Making .venv with Python 3.")
    process.kill()
    process.communicate(timeout=240)
    assert SUMMARY.search(ready.set_up())
    assert ready.installed() == {"one", "checkout"}


def test_failed_development_leaves_running_installed(ready, tmp_path):
    """If packages cannot be installed, a sentence gives the reason and the remedy; what was installed still works."""
    ready.set_up()
    write_wheel(ready.index, "two", "changed = True")
    nothing_cached = {"UV_CACHE_DIR": str(tmp_path)}
    said = ready.set_up("--dev", code=1, **nothing_cached)
    assert "A downloaded package has another hash than the lock" in said
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        index = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        (ready.index / "two-1-py3-none-any.whl").unlink()
        reach = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": index, "UV_OFFLINE": "0", "UV_DEFAULT_INDEX": index}
        said = ready.set_up("--dev", code=1, **nothing_cached, **reach)
    assert said.splitlines()[-1].startswith("Coarsefine is not installed. The packages could not be downloaded.")
    assert ready.set_up() == ""
    write_wheel(ready.index, "two")
    ready.set_up("--dev")
    assert ready.installed() == {"one", "two", "checkout"}


def test_checkout_cannot_be_written(checkout):
    """Without write access to the checkout, a sentence names the file and the remedy, and no log that is not there."""
    checkout.folder.chmod(0o555)
    said = checkout.set_up(code=1, prefix=drop_root_access())
    checkout.folder.chmod(0o755)
    assert said.startswith("Coarsefine is not installed. A file or folder cannot be written (“")
    assert f"Permission denied: '{checkout.folder}/.venv.lock'”). Grant yourself write access to it" in said
    assert "setup.log" not in said


COMPILING = re.compile(r"^Compiling the kernel for .* with (.+) \.\.\.$", re.MULTILINE)
LIBRARIES = [f"kernel-{each.name}.so" for each in reversed(instruction_sets_of())]
has_kernel = pytest.mark.skipif(not LIBRARIES, reason="there is no kernel for this computer")


@has_kernel
def test_kernel_is_compiled_once(ready):
    """The kernel is compiled if its libraries are missing or its source has changed, and nothing is installed again."""
    tiny_kernel.find_cc()
    assert ready.libraries == LIBRARIES
    (ready.folder / "model/kernel/source/more.h").touch()
    assert COMPILING.fullmatch(ready.set_up().strip()).group(1) == "cc"
    assert ready.set_up() == ""


@has_kernel
def test_kernel_without_a_compiler(ready, tmp_path):
    """Without a C compiler, Zig is downloaded as the lock pins it, compiles the kernel, and does not stay."""
    tiny_kernel.find_cc()
    shutil.rmtree(ready.folder / "model/kernel/libraries")
    programs = tiny_kernel.programs_without_cc(tmp_path / "programs")
    downloading, compiling = ready.set_up(PATH=str(programs), CC="").splitlines()
    assert downloading == "Downloading Zig, because no C compiler here compiles the kernel ..."
    assert COMPILING.fullmatch(compiling).group(1) == "zig cc"
    assert ready.libraries == LIBRARIES
    assert "ziglang" not in ready.installed()


@has_kernel
def test_kernel_that_cannot_be_compiled(ready, tmp_path):
    """If nothing compiles the kernel, a sentence gives the reason and the remedy; it is not tried at every start."""
    tiny_kernel.find_cc()
    shutil.rmtree(ready.folder / "model/kernel/libraries")
    (ready.index / "ziglang-1-py3-none-any.whl").unlink()
    without_cc = {"PATH": str(tiny_kernel.programs_without_cc(tmp_path / "programs")), "CC": ""}
    said = ready.set_up(**without_cc)
    assert said.splitlines()[-1] == (
        "The kernel is not compiled: there is no C compiler `cc`; pip failed with exit code 1 while it installed Zig "
        f"from {ready.folder}/requirements-kernel.lock. Training uses NumPy, which is slower. It is tried again if CC, "
        "the C compiler or the kernel's source changes, and by `scripts/setup --kernel`. All that the compilers "
        f"printed is in {ready.folder}/.venv/setup.log."
    )
    assert "No matching distribution found for ziglang" in (ready.folder / ".venv/setup.log").read_text("utf-8")
    assert ready.set_up(**without_cc) == "", "nothing has changed"
    assert ready.set_up("--kernel", **without_cc) == said
    tiny_kernel.write_zig(ready.index)
    assert ready.set_up(**without_cc) == "", "a download is tried on request alone"
    assert ready.set_up("--kernel", **without_cc).splitlines()[-1].endswith(" with zig cc ...")
    shutil.rmtree(ready.folder / "model/kernel/libraries")
    assert ready.set_up(**without_cc).splitlines()[-1].endswith(" with zig cc ..."), "the last try succeeded"


@has_kernel
def test_kernel_is_tried_again_with_another_compiler(ready, tmp_path):
    """After a failure, a compiler that was installed since, a change of CC or of a source makes setup try again."""
    tiny_kernel.find_cc()
    (ready.index / "ziglang-1-py3-none-any.whl").unlink()
    shutil.rmtree(ready.folder / "model/kernel/libraries")
    programs = tiny_kernel.programs_without_cc(tmp_path / "programs")
    for changed in ({"CC": ""}, {"CC": "missing"}):
        assert "The kernel is not compiled: " in ready.set_up(PATH=str(programs), **changed)
        assert ready.set_up(PATH=str(programs), **changed) == ""
    (ready.folder / "model/kernel/source/even_more.h").touch()
    assert "The kernel is not compiled: " in ready.set_up(PATH=str(programs), CC="missing")
    assert COMPILING.fullmatch(ready.set_up(CC="").strip()).group(1) == "cc"
    tiny_kernel.write_zig(ready.index)


@has_kernel
def test_kernel_never_stops_the_setup(ready):
    """A CC that is no command, a Python that does not start and a log that cannot be written cost the kernel alone."""
    shutil.rmtree(ready.folder / "model/kernel/libraries")
    python, log = ready.folder / ".venv/bin/python", ready.folder / ".venv/setup.log"
    python.rename(python.with_name("kept"))
    python.touch()
    log.unlink(missing_ok=True)
    log.mkdir()
    assert ready.set_up(CC="'gcc") == (
        "Downloading Zig, because no C compiler here compiles the kernel ...\n"
        "The kernel is not compiled: CC is “'gcc”, which is not a command (No closing quotation); "
        f"[Errno 13] Permission denied: '{python}'. Training uses NumPy, which is slower. It is tried again if CC, "
        "the C compiler or the kernel's source changes, and by `scripts/setup --kernel`.\n"
    )
    log.rmdir()
    python.with_name("kept").replace(python)


def test_python_is_too_old(checkout):
    """A Python that is too old or missing is named, with the remedy."""
    old = checkout.index / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2\nand more"\n', "utf-8")
    old.chmod(0o755)
    for python, found in ((old, "Python 3.9.2"), ("no-python", "missing")):
        said = checkout.set_up(code=2, PYTHON=str(python))
        assert said.startswith(f"Coarsefine needs Python 3.11 or later; '{python}' is {found}. Install one,")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("because ensurepip is not\navailable.  On Debian/Ubuntu systems", "This Python has no venv module"),
        ("/usr/bin/python3: No module named venv\n", "This Python has no venv module"),
        (
            "  cause: failed to copy file: No space left on device (os error 28)\n",
            "No space is left on the disk of .venv",
        ),
        ("  cause: invalid peer certificate: UnknownIssuer\n", "The certificate of the package index is not trusted"),
        ("  cause: error sending request for url\n  cause: dns error\n", "The packages could not be downloaded."),
        (
            "error: failed to create `.venv/x`: Permission denied (os error 13)",
            "A file or folder cannot be written (“err",
        ),
        ("one line\nand the last\n\n", "uv failed (“and the last”). Correct what it names."),
        ("", "uv failed (“it printed nothing”)."),
    ],
)
def test_reasons(output, reason):
    """What Python, uv and pip print when they fail is explained in a sentence; other output is quoted."""
    error = str(explain("uv", output, Path(".venv")))
    assert error.startswith(reason)
    assert error.endswith(" Then run the command again.")
    assert "setup.log" not in error, "there is none"


def test_log_is_named_if_it_was_written():
    """If the program's output was written to a log, the sentence names it."""
    error = str(explain("uv", "and the last", Path(".venv"), Path(".venv/setup.log")))
    assert error.startswith("uv failed (“and the last”). All that it printed is in .venv/setup.log. Correct what")


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        """Return True."""
        return True


def test_live_line(monkeypatch):
    """On a terminal one line shows the step, what it works on and the seconds; messages stay, and the line goes."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    screen = Screen()
    with Progress(screen) as progress:
        progress.step("Downloading 3 packages")
        progress.detail("one 3.0MiB, two 20.1MiB")
        while not re.search(r"\x1b\[2KDownloading 3 packages · \d+ s · one 3\.0MiB, two 20\.1MiB$", screen.getvalue()):
            time.sleep(0.01)
        progress.say("A message")
    assert "\x1b[2KA message\n" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[2K")
