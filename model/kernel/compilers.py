"""The C compilers that can build the kernel, and the platforms that they build it for.

The standard library alone: `build.py` uses this before anything is installed.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from coarsefine.model.kernel.instruction_sets import MAIN_SOURCE, InstructionSet, machine_of

Download = Callable[[Path], None]
"""Installs the package ziglang into a folder, or raises `BuildError`."""


class BuildError(Exception):
    """The kernel was not compiled."""

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(reason)
        self.log = log
        """What the program that failed printed."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system on a kind of processor, for which there are wheels."""

    tag: str
    """The platform in the name of a wheel, with the oldest system that it is for."""
    system: str
    """The operating system, as in `sys.platform`."""
    machine: str
    zig_target: str
    cc_flags: tuple[str, ...] = ()
    """Flags that make `cc` target the oldest supported release."""


PLATFORMS = (
    Platform("manylinux_2_17_x86_64", "linux", "x86_64", "x86_64-linux-gnu.2.17"),
    Platform("manylinux_2_17_aarch64", "linux", "aarch64", "aarch64-linux-gnu.2.17"),
    Platform(
        "macosx_10_13_x86_64", "darwin", "x86_64", "x86_64-macos.10.13",
        ("-arch", "x86_64", "-mmacosx-version-min=10.13"),
    ),
    Platform(
        "macosx_11_0_arm64", "darwin", "arm64", "aarch64-macos.11.0",
        ("-arch", "arm64", "-mmacosx-version-min=11.0"),
    ),
)  # fmt: skip


def this_platform() -> Platform | None:
    """Return the platform of this computer; None if it is another one, such as a Linux without the GNU C library."""
    if sys.platform == "linux" and platform.libc_ver()[0] != "glibc":
        return None
    here = (sys.platform, machine_of())
    return next((each for each in PLATFORMS if here == (each.system, machine_of(each.machine))), None)


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler."""

    name: str
    command: tuple[str, ...]
    """The program, and the flags that choose the platform."""
    zig_cache: Path | None = None

    def compile(self, instruction_set: InstructionSet, library: Path, *flags: str) -> None:
        """Compile one library; the file appears when it is complete. Raises `BuildError`.

        `flags` are added to those of the instruction set.
        """
        new = library.with_name(f"{library.name}-new-{os.getpid()}")
        digest = f'-DKERNEL_SOURCES="{instruction_set.source_digest()}"'
        try:
            library.parent.mkdir(parents=True, exist_ok=True)
            self._run([*self.command, *instruction_set.flags, digest, *flags, str(MAIN_SOURCE), "-o", str(new)])
            new.replace(library)  # a process that has loaded the earlier file keeps it
        except OSError as error:
            raise BuildError(f"{library} cannot be written ({error.strerror})") from error
        finally:
            with suppress(OSError):
                new.unlink()

    def _run(self, command: list[str]) -> None:
        caches = ("ZIG_LOCAL_CACHE_DIR", "ZIG_GLOBAL_CACHE_DIR") if self.zig_cache else ()
        try:
            done = _call(command, **dict.fromkeys(caches, str(self.zig_cache)))
        except OSError as error:
            raise BuildError(f"{self.name} cannot be started ({error.strerror})") from error
        if done.returncode:
            raise BuildError(f"{self.name} failed with exit code {done.returncode}", done.stdout)


@contextmanager
def system_compiler() -> Iterator[Compiler]:
    """Give the compiler that CC names, or `cc`, for this computer. Raises `BuildError` if there is no such program."""
    named = os.environ.get("CC", "")
    try:
        command = shlex.split(named) or ["cc"]
    except ValueError as error:
        raise BuildError(f"CC is “{named}”, which is not a command ({error})") from error
    if shutil.which(command[0]) is None:
        raise BuildError(f"there is no C compiler `{command[0]}`")
    here = this_platform()
    yield Compiler(shlex.join(command), (*command, *(here.cc_flags if here else ())))


@contextmanager
def zig_compiler(target: Platform, download: Download | None = None) -> Iterator[Compiler]:
    """Give Zig, which compiles for any platform: the installed package `ziglang`, or else a download.

    `download` is called with the folder to install the package into, which is removed at the end. Raises `BuildError`
    if there is no Zig.
    """
    with tempfile.TemporaryDirectory(prefix="coarsefine-zig-") as name:
        folder = Path(name)
        package = _installed_zig() or _downloaded_zig(download, folder)
        yield Compiler("zig cc", (str(package / "zig"), "cc", "-g0", "-target", target.zig_target), folder / "cache")


def _installed_zig() -> Path | None:
    found = find_spec("ziglang")
    return Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None


def _downloaded_zig(download: Download | None, folder: Path) -> Path:
    if download is None:
        raise BuildError("the package ziglang is not installed")
    download(folder)
    return folder / "ziglang"


def download_zig(folder: Path, lock: Path, python: str = sys.executable) -> None:
    """Install the package of Zig that a lock pins into a folder, with the pip of `python`. Raises `BuildError`."""
    pip = (python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile")
    done = _call([*pip, "--no-deps", "--require-hashes", "-r", str(lock), "--target", str(folder)])
    if done.returncode:
        raise BuildError(f"pip failed with exit code {done.returncode} while it installed Zig from {lock}", done.stdout)


def _call(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the compiler that the user chose, or pip
        command, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
