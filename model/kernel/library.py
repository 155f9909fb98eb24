"""Find the kernel's library for this processor, check that it is of the present sources, and load it.

A library that is missing, of other sources, or of instructions that this processor lacks is not used: then there is
no kernel, and `why_none` says why and what to do.
"""

import ctypes
import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from coarsefine.model.errors import KernelError
from coarsefine.model.kernel.instruction_sets import FOLDER, INSTRUCTION_SETS, InstructionSet, instruction_sets_of

VARIABLE = "COARSEFINE_KERNEL"
INTERFACE = 1
"""The number that the library's `kernel_interface` returns: it changes with the functions' arguments."""
_NONE = "none"
_BUILD = "python -m coarsefine.model.kernel.build"


@dataclass(frozen=True, slots=True)
class Library:
    """The loaded kernel."""

    path: Path
    instruction_set: str
    functions: ctypes.CDLL


class _UnusableError(Exception):
    """Say why one library is not used: the end of a sentence."""


class _LacksInstructionsError(_UnusableError):
    """Say that the processor has other instructions."""


def load() -> Library | None:
    """Return the library of the fastest instructions that this processor has, or None if no library can be used.

    The environment variable COARSEFINE_KERNEL names one instruction set, or `none`. Raises `KernelError` if it names an
    unknown one, or one that cannot be used here. The first call decides for the whole process.
    """
    return _search()[0]


def why_none() -> str:
    """Return a sentence that says why `load` returns None, and what to do about it; empty if there is a library."""
    return _search()[1]


def open_library(name: str) -> Library | None:
    """Return the library of an instruction set, or None if this processor lacks instructions of it.

    Raises `KernelError` for another reason why it cannot be used.
    """
    try:
        return _open_named(name)
    except _LacksInstructionsError:
        return None
    except _UnusableError as error:
        raise KernelError(f"{name} cannot be used: {error}.") from error


@cache
def _search() -> tuple[Library | None, str]:
    """Return the library, or the reason why there is none."""
    forced = os.environ.get(VARIABLE, "").strip()
    if forced == _NONE:
        return None, f"{VARIABLE} is “none”: unset it to use the kernel."
    if forced:
        try:
            return _open_named(forced), ""
        except _UnusableError as error:
            raise KernelError(f"{VARIABLE} is “{forced}”, which cannot be used: {error}.") from error
    reasons = []
    for instruction_set in instruction_sets_of():
        try:
            return _open(instruction_set), ""
        except _UnusableError as error:
            reasons.append(str(error))
    if not reasons:
        return None, f"There is no kernel for {platform.system()} on {platform.machine()}."
    return None, f"{reasons[-1][0].upper()}{reasons[-1][1:]}."


def _open_named(name: str) -> Library:
    names = [each.name for each in INSTRUCTION_SETS]
    if name not in names:
        raise KernelError(f"{VARIABLE} is “{name}”: name one of {', '.join(names)}, or none.")
    instruction_set = next((each for each in instruction_sets_of() if each.name == name), None)
    if instruction_set is None:
        here = f"{platform.system()} on {platform.machine()}"
        raise KernelError(f"{VARIABLE} is “{name}”, which {here} cannot run: unset it.")
    return _open(instruction_set)


def _open(instruction_set: InstructionSet) -> Library:
    path = FOLDER / instruction_set.file_name()
    if not path.exists():
        raise _UnusableError(f"{path} is missing: {_remedy()}")
    try:
        if not instruction_set.is_current(path):
            raise _UnusableError(f"{path} was built from other sources: {_remedy()}")
        functions = ctypes.CDLL(str(path))
    except OSError as error:
        raise _UnusableError(f"{path} cannot be loaded ({error}): {_remedy()}") from error
    if not functions.kernel_runs_here():
        raise _LacksInstructionsError(f"this processor lacks instructions of {instruction_set.name}")
    if (found := functions.kernel_interface()) != INTERFACE:
        raise _UnusableError(f"{path} has interface {found} instead of {INTERFACE}: {_remedy()}")
    return Library(path, instruction_set.name, functions)


def _remedy() -> str:
    """Return what builds the libraries: in a checkout the setup, which needs no compiler."""
    if (FOLDER.parents[2] / "scripts" / "setup").exists():
        return "run scripts/setup"
    return f"install a C compiler, then run `{_BUILD}`"
