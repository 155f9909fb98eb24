"""Make `.venv`, or bring it up to date with the locks.

The locks pin each package by its version and hashes. requirements.lock has what running needs; requirements-dev.lock
has the same packages, and those of tests, types and documentation. scripts/lock writes both.

Each step is recorded in `.venv` when it is complete. A step without its record starts again, so that an installation
may be interrupted at any time. A failed compilation of the kernel is recorded too, and is not tried at every start.
"""

import argparse
import fcntl
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coarsefine.model.kernel.build import build, is_current
from coarsefine.model.kernel.compilers import BuildError, download_zig
from installation.failures import SetupError, explain
from installation.progress import Progress
from installation.records import DEVELOPMENT, KERNEL, RUNNING, Record, Records
from installation.tools import Tools, append_to_log

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
_FAILED, _INTERRUPTED = 1, 130


def main() -> int:
    """Install what is missing; return the exit code."""
    parser = argparse.ArgumentParser("scripts/setup", description="Install what running Coarsefine needs into .venv.")
    parser.add_argument("--dev", action="store_true", help="also what tests, types and documentation need")
    parser.add_argument("--kernel", action="store_true", help="compile the kernel even if that failed before")
    options = parser.parse_args()
    dev, records = options.dev, Records.of(ROOT, VENV)
    if not options.kernel and is_complete(records, dev=dev):
        return 0
    try:
        with Progress() as progress, locked(progress) as held:
            if options.kernel:
                records.failed_kernel.forget()
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
    return PYTHON.exists() and all(step.is_complete for step in steps) and not kernel_is_due(records)


def kernel_is_due(records: Records) -> bool:
    """Return whether the kernel is to be compiled: it is not current, and no try with the same inputs failed."""
    return not is_current() and not records.failed_kernel.is_complete


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
    if kernel_is_due(records):
        build_kernel(progress, records.failed_kernel)
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


def build_kernel(progress: Progress, failed: Record) -> None:
    """Compile the kernel. If that fails, say so and record it: Coarsefine works without it."""

    def download(folder: Path) -> None:
        progress.step("Downloading Zig, because no C compiler here compiles the kernel")
        download_zig(folder, ROOT / KERNEL, str(PYTHON))

    try:
        build(download, progress.step)
    except BuildError as error:
        log = append_to_log(VENV, [error.log]) if error.log else None
        printed = f" All that the compilers printed is in {log}." if log else ""
        progress.say(
            f"The kernel is not compiled: {error}. Training uses NumPy, which is slower. It is tried again if CC, the "
            f"C compiler or the kernel's source changes, and by `scripts/setup --kernel`.{printed}"
        )
        with suppress(OSError):  # without the record, the next start tries again
            failed.complete()
    else:
        failed.forget()


def contents() -> str:
    """Return the number of packages in `.venv`, and the space that its files take."""
    packages = sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))
    blocks = {found.st_ino: found.st_blocks for found in map(Path.lstat, VENV.rglob("*"))}
    return f"{packages} packages and {sum(blocks.values()) * 512 / 1e6:.0f} MB in .venv"


if __name__ == "__main__":
    sys.exit(main())
