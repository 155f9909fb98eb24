"""Find the kernel's library for this processor, check that it was built from the current sources, and load it.

Libraries that are missing, outdated or unsupported by the processor are skipped. If none is left, `why_none` says why.
"""

import ctypes
import os
import platform
from collections.abc import Sequence
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
    """A library cannot be used. The message is a clause that ends a sentence."""


class _UnsupportedError(_UnusableError):
    """The processor does not support the library's instruction set."""


def load() -> Library | None:
    """Load the library for the fastest instruction set this processor supports; return None if there is none.

    The environment variable COARSEFINE_KERNEL names one instruction set, or `none`. Raises `KernelError` if it names an
    unknown one, or one that cannot be used here. The result is cached for the process.
    """
    return _search()[0]


def why_none() -> str:
    """Return a sentence that says why `load` returns None, and what to do about it; empty if there is a library."""
    library, problem = _search()
    return problem if library is None else ""


def why_not_faster() -> str:
    """Return a sentence that says why `load` skipped a faster library, and what to do about it.

    It is empty if there is none, or if this processor does not support it.
    """
    library, problem = _search()
    return problem if library is not None else ""


def open_library(name: str) -> Library | None:
    """Return the library of an instruction set, or None if this processor does not support it.

    Raises `KernelError` for another reason why it cannot be used.
    """
    try:
        return _open_named(name)
    except _UnsupportedError:
        return None
    except _UnusableError as error:
        raise KernelError(f"The kernel “{name}” cannot be used: {error}.") from error


@cache
def _search() -> tuple[Library | None, str]:
    """Return the library, if there is one, and why there is none or no faster one."""
    name = os.environ.get(VARIABLE, "").strip()
    if name == _NONE:
        return None, f"{VARIABLE} is “none”: unset it to use the kernel."
    return (_requested(name), "") if name else _fastest()


def _requested(name: str) -> Library:
    try:
        return _open_named(name)
    except _UnusableError as error:
        raise KernelError(
            f"{VARIABLE} is “{name}”, which cannot be used: {error}. Unset it to use the fastest kernel here."
        ) from error


def _fastest() -> tuple[Library | None, str]:
    errors: list[_UnusableError] = []
    for instruction_set in instruction_sets_of():
        try:
            library = _open(instruction_set)
        except _UnusableError as error:
            errors.append(error)
        else:
            return library, _sentence([error for error in errors if not isinstance(error, _UnsupportedError)])
    return None, _sentence(errors) or f"There is no kernel for {_this_computer()}."


def _sentence(errors: Sequence[_UnusableError]) -> str:
    """Return the last error as a sentence; empty without errors."""
    text = str(errors[-1]) if errors else ""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _open_named(name: str) -> Library:
    known = {each.name: each for each in INSTRUCTION_SETS}
    if name not in known:
        raise _UnusableError(f"the instruction sets are {', '.join(known)}")
    if known[name] not in instruction_sets_of():
        raise _UnusableError(f"it is not for {_this_computer()}")
    return _open(known[name])


def _open(instruction_set: InstructionSet) -> Library:
    path = FOLDER / instruction_set.file_name()
    try:
        if not instruction_set.is_current(path):
            raise _UnusableError(f"{path} was not built from the current sources: {_build_command()}")
        functions = ctypes.CDLL(str(path))
    except FileNotFoundError as error:
        raise _UnusableError(f"{path} is missing: {_build_command()}") from error
    except OSError as error:
        raise _UnusableError(f"{path} cannot be loaded ({error}): {_build_command()}") from error
    if not functions.kernel_runs_here():
        raise _UnsupportedError(f"this processor does not support {instruction_set.name}")
    if (found := functions.kernel_interface()) != INTERFACE:
        raise _UnusableError(f"{path} has interface {found} instead of {INTERFACE}: {_build_command()}")
    return Library(path, instruction_set.name, functions)


def _this_computer() -> str:
    return f"{platform.system()} on {platform.machine()}"


def _build_command() -> str:
    """Return the command that builds the libraries. In a checkout that is scripts/setup, which can download a compiler.

    With `--kernel` it tries even if it failed before.
    """
    if (FOLDER.parents[2] / "scripts" / "setup").exists():
        return "run `scripts/setup --kernel`"
    return f"install a C compiler, then run `{_BUILD}`"
