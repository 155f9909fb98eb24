"""Make `.venv`, or bring it up to date with the locks.

The locks pin each package by its version and hashes. requirements.lock has what running needs; requirements-dev.lock
has the same packages, and those of tests, types and documentation. scripts/lock writes both.

Each step is recorded in `.venv` when it is complete. A step without its record starts again, so that an installation
may be interrupted at any time.
"""

import argparse
import fcntl
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coarsefine.model.kernel.build import build, is_current
from coarsefine.model.kernel.compilers import BuildError, download_zig
from installation.failures import SetupError, explain
from installation.progress import Progress
from installation.records import DEVELOPMENT, KERNEL, RUNNING, Record, Records
from installation.tools import Tools

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
_FAILED, _INTERRUPTED = 1, 130


def main() -> int:
    """Install what is missing; return the exit code."""
    parser = argparse.ArgumentParser("scripts/setup", description="Install what running Coarsefine needs into .venv.")
    parser.add_argument("--dev", action="store_true", help="also what tests, types and documentation need")
    dev = parser.parse_args().dev
    records = Records.of(ROOT, VENV)
    if is_complete(records, dev=dev):
        return 0
    try:
        with Progress() as progress, locked(progress) as held:
            if not is_complete(records, dev=dev):  # another installation, which was waited for, may have completed it
                tools = Tools(VENV, ROOT / DEVELOPMENT, progress, held, keep_uv=dev)
                install(records, tools, progress, dev=dev)
    except KeyboardInterrupt:
        print("Interrupted. The next start installs again.", file=sys.stderr)
        return _INTERRUPTED
    except (SetupError, OSError) as error:
        cause = error if isinstance(error, SetupError) else explain("scripts/setup", str(error), VENV)
        print(f"Coarsefine is not installed. {cause}", file=sys.stderr)
        return _FAILED
    return 0


def is_complete(records: Records, *, dev: bool) -> bool:
    """Return whether everything is installed, and its Python still works."""
    steps = [records.running, records.checkout, *([records.development] if dev else [])]
    return PYTHON.exists() and all(step.is_complete for step in steps) and is_current()


@contextmanager
def locked(progress: Progress) -> Iterator[int]:
    """Wait until no other process installs into `.venv`; give the descriptor of the locked file."""
    with (ROOT / ".venv.lock").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.step("Waiting for another installation into .venv")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def install(records: Records, tools: Tools, progress: Progress, *, dev: bool) -> None:
    """Install what is not complete.

    Packages are only added to an environment. If one of its locks has changed since, a new environment takes its place.
    """
    running, development, checkout = records.running, records.development, records.checkout
    works = running.is_complete and PYTHON.exists()
    if not works or (dev and development.is_there and not development.is_complete):
        progress.step(f"Making .venv with Python {platform.python_version()}")
        tools.make_environment(sys.executable)
    needed = [running, development] if dev else [running]
    packages_missing = not all(step.is_complete for step in needed)
    if packages_missing:
        install_packages(tools, ROOT / (DEVELOPMENT if dev else RUNNING), needed)
    if not is_current():
        build_kernel(progress)
    if not checkout.is_complete:
        progress.step("Installing the checkout")
        tools.install_checkout(ROOT)
        checkout.complete()
    tools.remove_own_uv()
    if packages_missing:
        progress.say(f"Installed in {time.monotonic() - progress.started:.1f} s: {contents()}.")


def install_packages(tools: Tools, lock: Path, steps: list[Record]) -> None:
    """Install the packages of a lock, which completes the steps."""
    last = steps[-1]
    last.start()
    try:
        tools.install_packages(lock)
    except SetupError as error:
        if error.cause.is_before_installation:
            last.forget()
        raise
    for step in steps:
        step.complete()


def build_kernel(progress: Progress) -> None:
    """Compile the kernel. If that fails, say so: Coarsefine works without it."""

    def download(folder: Path) -> None:
        progress.step("Downloading Zig, because no C compiler here compiles the kernel")
        download_zig(folder, ROOT / KERNEL, str(PYTHON))

    try:
        build(download, progress.step)
    except BuildError as error:
        with (VENV / "setup.log").open("a", encoding="utf-8") as log:
            log.write(error.log)
        progress.say(
            f"The kernel is not compiled: {error}. NumPy trains the networks instead, which takes longer. Install a C "
            f"compiler, then run scripts/setup. All that the compilers printed is in {VENV}/setup.log."
        )


def contents() -> str:
    """Return the number of packages in `.venv`, and the space that its files take."""
    packages = sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))
    blocks = {found.st_ino: found.st_blocks for found in map(Path.lstat, VENV.rglob("*"))}
    return f"{packages} packages and {sum(blocks.values()) * 512 / 1e6:.0f} MB in .venv"


if __name__ == "__main__":
    sys.exit(main())
