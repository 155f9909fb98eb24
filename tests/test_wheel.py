"""The wheel installs one package, `coarsefine`, which works in projects whose modules have the names of our folders."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from forked import Forked, run_command
from processes import end_of
from stored import table
from tiny_kernel import programs_without_cc

from coarsefine.model.kernel.instruction_sets import instruction_sets_of

ROOT = Path(__file__).parents[1]
OBJECTIVE = """
def objective(point, seed, report):
    return -((point["x"] - 0.3) ** 2)
"""
PROJECT = {
    **{f"{name}.py": f'OWNER = "the project"\nNAME = "{name}"\n' for name in ("model", "search", "storage", "queue")},
    "train.py": f"""
import model, search, storage

assert [module.NAME for module in (model, search, storage)] == ["model", "search", "storage"]
{OBJECTIVE}""",
    "mine.toml": """
name = "mine"
objective = "train:objective"

[[stage]]
name = "coarse"
trials = 6
space = { x = { uniform = [0.0, 1.0] } }

[[stage]]
name = "fine"
trials = 4
narrow = { top = 2 }
""",
    "driver.py": """
import model, queue, search, storage, train
import coarsefine

if __name__ == "__main__":
    assert {module.OWNER for module in (model, queue, search, storage)} == {"the project"}
    coarsefine.run(coarsefine.Campaign.load("mine.toml"), workers=2)
""",
    "on_dask.py": """
import coarsefine
import model, queue, search, storage, train

if __name__ == "__main__":
    from distributed import LocalCluster

    assert {module.OWNER for module in (model, queue, search, storage)} == {"the project"}
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        engine = cluster.scheduler_address.replace("tcp://", "dask://")
        coarsefine.run(coarsefine.Campaign.load("mine.toml"), workers=2, engine=engine)
""",
}
HAS_KERNEL = bool(instruction_sets_of()) and shutil.which("cc")
needs_kernel = pytest.mark.skipif(not HAS_KERNEL, reason="there is no kernel for this computer, or no C compiler")
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name == "PYTHONPYCACHEPREFIX"
}


def call(*command, cwd):
    """Run a command without the environment's Python settings, except where compiled modules are; return its stdout."""
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, timeout=240, check=True
    ).stdout


def contents(wheel):
    """Return the files of a wheel by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Build a wheel from the checkout and one from its source archive; return both."""
    folder = tmp_path_factory.mktemp("wheels")
    call(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    call("tar", "-xf", archive, cwd=folder)
    source = folder / archive.name.removesuffix(".tar.gz")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "from-archive", cwd=source)
    return *folder.glob("*.whl"), *folder.glob("from-archive/*.whl")


@pytest.fixture(scope="module")
def python(wheels, tmp_path_factory):
    """Install the wheel into a new environment, which borrows dependencies; return its interpreter."""
    folder = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / Path(sys.executable).relative_to(sys.prefix)
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheels[0], cwd=folder)
    packages = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(packages) / "needed.pth").write_text(sysconfig.get_path("purelib"), "utf-8")  # searched after the wheel
    return python


@pytest.fixture
def project(tmp_path):
    """Create a project whose modules have the names of our folders and of the standard library's `queue`."""
    for name, text in PROJECT.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the trials that one worker of the checkout trains in a folder without the other modules."""
    folder = tmp_path_factory.mktemp("expected")
    for name, text in (("train.py", OBJECTIVE), ("mine.toml", PROJECT["mine.toml"])):
        (folder / name).write_text(text, "utf-8")
    code, err = end_of(Forked(run_command, "run", "mine.toml", "--workers", 1, cwd=folder))
    assert code == 0, err
    return table(folder / "studies.db")


def test_wheel_contains_one_typed_package(wheels):
    """The wheel has every file of both folders in one top-level package, which is marked as typed."""
    names = contents(wheels[0])
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"coarsefine", next(folder for folder in folders if folder.endswith(".dist-info"))}
    sources = {path.relative_to(ROOT) for folder in ("model", "search") for path in (ROOT / folder).rglob("*.*")}
    compiled = (".pyc", ".so", ".dylib")
    wanted = {
        f"coarsefine/{path.as_posix()}" for path in sources if path.suffix not in compiled and (ROOT / path).is_file()
    }
    assert wanted <= names.keys()
    assert {name for name in names if not name.endswith(".py")} > {
        "coarsefine/py.typed",
        "coarsefine/search/campaign/presets/digits.toml",
        "coarsefine/search/report/templates/report.html.j2",
        "coarsefine/search/server/pages/campaign.html",
        "coarsefine/model/kernel/source/kernel.c",
    }


def test_source_archive_builds_the_same_wheel(wheels):
    """The source archive, which cannot hold symbolic links, builds the same wheel as the checkout."""
    assert contents(wheels[0]) == contents(wheels[1])


@needs_kernel
def test_wheel_has_the_kernel(wheels, python, tmp_path):
    """The wheel is for this platform and any Python, has its libraries, and an installed wheel loads one of them."""
    assert [path.name.split("-")[2:4] for path in wheels] == [["py3", "none"]] * 2
    assert {path.name.split("-")[4] for path in wheels} == {f"{sysconfig.get_platform().replace('-', '_')}.whl"}
    libraries = {Path(name).name for name in contents(wheels[0]) if "/libraries/" in name}
    assert libraries == {f"kernel-{each.name}.so" for each in instruction_sets_of()}
    code = (
        "from coarsefine.model.kernel.library import load, why_none; library = load(); print(library and library.path)"
    )
    assert call(python, "-c", code, cwd=tmp_path).startswith(str(python.parents[1]))
    findings = json.loads(call(python.with_name("coarsefine"), "doctor", "--json", cwd=tmp_path))["findings"]
    (kernel,) = (finding for finding in findings if finding["check"] == "kernel")
    assert kernel["verdict"] == "ok"
    assert kernel["found"].split(" instructions, ")[1].startswith(str(python.parents[1]))


@needs_kernel
def test_source_archive_has_no_library(wheels):
    """The source archive has the kernel's source, and no library of the computer that made it."""
    (archive,) = wheels[0].parent.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"src/coarsefine/model/kernel/source/kernel.c", "hatch_build.py", "requirements-kernel.lock"} <= names
    assert not [name for name in names if "/libraries/" in name]


def test_wheel_without_a_compiler(wheels, tmp_path):
    """Without a C compiler, the wheel is for every platform and has no library; the build says so and succeeds."""
    (archive,) = wheels[0].parent.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    environment = ENVIRONMENT | {"PATH": str(programs_without_cc(tmp_path / "programs")), "CC": ""}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=240)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in contents(wheel) if "/libraries/" in name]
    if HAS_KERNEL:
        assert "The kernel is not built: there is no C compiler `cc`; " in done.stdout + done.stderr


def test_unknown_platform_is_refused(tmp_path):
    """A wheel for a platform that has none is refused, with the names of those that have one."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    environment = ENVIRONMENT | {"COARSEFINE_WHEEL": "win_amd64"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode
    assert "COARSEFINE_WHEEL is “win_amd64”: name one of manylinux_2_17_x86_64, " in done.stdout + done.stderr


def test_installed_package_is_imported(python, tmp_path):
    """An installed wheel adds one package, and that package is imported instead of the checkout."""
    code = "import coarsefine, coarsefine.model; print(coarsefine.__file__, coarsefine.__version__)"
    file, version = call(python, "-c", code, cwd=tmp_path).split()
    packages = Path(file).parents[1]
    assert packages.is_relative_to(python.parents[1])
    (record,) = packages.glob("coarsefine-*.dist-info/RECORD")
    installed = {line.partition("/")[0] for line in record.read_text("utf-8").splitlines() if line[:3] != "../"}
    assert installed == {"coarsefine", f"coarsefine-{version}.dist-info"}


def test_command_runs_in_a_project_with_conflicting_names(python, project, expected):
    """`coarsefine run` searches an objective that imports the project's `model`, `search` and `storage`."""
    call(python.with_name("coarsefine"), "run", "mine.toml", "--workers", 2, cwd=project)
    assert table(project / "studies.db") == expected


@pytest.mark.parametrize("script", ["driver.py", "on_dask.py"])
def test_script_imports_the_projects_modules_and_coarsefine(python, project, expected, script):
    """A script imports the project's modules, even `queue`, along with Coarsefine, and starts workers or a cluster."""
    call(python, script, cwd=project)
    assert table(project / "studies.db") == expected


def test_coarsefine_imports_the_standard_library(python, project):
    """Coarsefine imports the standard library's `queue`; under that name the project still imports its own.

    This holds for `python -m coarsefine` too, which searches the working directory first.
    """
    code = """
import coarsefine, concurrent.futures.thread, sys
assert "queue" not in sys.modules and "coarsefine.search.engine.run" in sys.modules
import queue
assert queue.OWNER == "the project" and concurrent.futures.thread.queue.SimpleQueue
"""
    call(python, "-c", code, cwd=project)
    assert "digits" in call(python, "-m", "coarsefine", "presets", cwd=project)
