"""The instruction sets that the kernel is compiled to: names, flags, files, and which of them suit a processor.

The standard library alone: `build.py` uses this before anything is installed.
"""

import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "libraries"
"""The folder of the libraries, in a checkout and in an installed package."""
_SOURCES = Path(__file__).resolve().parent / "source"
MAIN_SOURCE = _SOURCES / "kernel.c"
_FLAGS = (
    "-O3", "-std=gnu11", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden",
    "-ffp-contract=off",  # every fused multiply-add is written as one, so that all compilers compute the same bits
)  # fmt: skip
_MACHINES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """One compilation of the kernel."""

    name: str
    machine: str
    own_flags: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """The compiler's flags, without those that name files or the platform."""
        return (*_FLAGS, *self.own_flags)

    def file_name(self, system: str = sys.platform) -> str:
        """Return the name of the library's file on an operating system, named as in `sys.platform`."""
        return f"kernel-{self.name}.{'dylib' if system == 'darwin' else 'so'}"

    def source_digest(self) -> str:
        """Return the digest string that a library built from the current sources and flags contains."""
        digest = hashlib.sha256("\0".join(self.flags).encode())
        for path in sorted(_SOURCES.glob("*.[ch]")):
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
        return f"coarsefine kernel of sources {digest.hexdigest()}"

    def is_current(self, library: Path) -> bool:
        """Return whether a file is a library built from the current sources and flags. It is read, not loaded.

        Raises `OSError` if there is no such file, or it cannot be read.
        """
        return self.source_digest().encode() in library.read_bytes()


INSTRUCTION_SETS = (
    InstructionSet(
        "x86-64-v4",
        "x86-64",
        (
            "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma",
            "-mprefer-vector-width=512",  # otherwise Clang uses half of each register
        ),
    ),
    InstructionSet("x86-64-v3", "x86-64", ("-mavx2", "-mfma")),
    InstructionSet("aarch64", "aarch64"),
)  # fmt: skip
"""All of them; of one machine, the fastest first."""


def instruction_sets_of(machine: str | None = None) -> tuple[InstructionSet, ...]:
    """Return the instruction sets of a kind of processor, the fastest first; none if there is no kernel for it.

    `machine` is a name as `platform.machine` returns it; by default it is this computer's, and Windows has no kernel.
    """
    if machine is None and os.name != "posix":
        return ()
    return tuple(each for each in INSTRUCTION_SETS if each.machine == machine_of(machine))


def machine_of(name: str | None = None) -> str:
    """Return the canonical name of a processor architecture."""
    name = (name or platform.machine()).lower()
    return _MACHINES.get(name, name)
