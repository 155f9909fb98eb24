"""Compile the kernel: `python -m coarsefine.model.kernel.build [--zig LOCK]`.

The compiler is the one that the environment variable CC names, or `cc`. If there is none, or it fails, Zig compiles:
Clang with the headers of all platforms, in the package `ziglang`. Libraries of the current sources stay as they are.

The standard library alone: scripts/setup and the build of a wheel use this before anything is installed.
"""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from coarsefine.model.kernel.compilers import (
    BuildError,
    Compiler,
    Download,
    Platform,
    download_zig,
    system_compiler,
    this_platform,
    zig_compiler,
)
from coarsefine.model.kernel.instruction_sets import FOLDER, InstructionSet, instruction_sets_of

Say = Callable[[str], None]
Libraries = dict[InstructionSet, Path]


def libraries_in(folder: Path = FOLDER, target: Platform | None = None) -> Libraries:
    """Return the paths of a platform's libraries, by default this computer's; none if there is no kernel for it."""
    machine, system = (target.machine, target.system) if target else (None, sys.platform)
    return {each: folder / each.file_name(system) for each in instruction_sets_of(machine)}


def is_current() -> bool:
    """Return whether every library for this computer was built from the current sources."""
    return not _outdated(libraries_in())


def build(download: Download | None = None, say: Say = print) -> None:
    """Compile what is missing or outdated of this computer's libraries.

    `download` is called to install Zig if no other compiler works. Raises `BuildError` if none compiles the kernel.
    """
    if outdated := _outdated(libraries_in()):
        here = this_platform()
        _compile_with_first([system_compiler(), *([zig_compiler(here, download)] if here else [])], outdated, say)


def build_for(target: Platform, folder: Path, say: Say = print) -> list[Path]:
    """Compile a platform's libraries into a folder with the installed Zig; return them. Raises `BuildError`."""
    libraries = libraries_in(folder, target)
    _compile_with_first([zig_compiler(target)], libraries, say)
    return list(libraries.values())


def _outdated(libraries: Libraries) -> Libraries:
    return {each: path for each, path in libraries.items() if not _is_current(each, path)}


def _is_current(instruction_set: InstructionSet, path: Path) -> bool:
    try:
        return instruction_set.is_current(path)
    except OSError:  # it is missing, or cannot be read: then writing it says why
        return False


def _compile_with_first(compilers: Sequence[AbstractContextManager[Compiler]], libraries: Libraries, say: Say) -> None:
    """Compile libraries with the first compiler that can."""
    errors = []
    for prepared in compilers:
        try:
            with prepared as compiler:
                _compile(compiler, libraries, say)
        except BuildError as error:
            errors.append(error)
        except OSError as error:  # such as no room for temporary files
            errors.append(BuildError(str(error)))
        else:
            return
    raise BuildError("; ".join(map(str, errors)), "".join(error.log for error in errors))


def _compile(compiler: Compiler, libraries: Libraries, say: Say) -> None:
    say(f"Compiling the kernel for {' and '.join(each.name for each in libraries)} with {compiler.name}")
    with ThreadPoolExecutor(len(libraries)) as pool:
        list(pool.map(compiler.compile, libraries.keys(), libraries.values()))


def main() -> int:
    """Build this computer's libraries; return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m coarsefine.model.kernel.build", description="Compile the kernel for this computer."
    )
    parser.add_argument(
        "--zig", type=Path, metavar="LOCK", help="download Zig as LOCK pins it, if nothing else compiles"
    )
    lock = parser.parse_args().zig
    try:
        build(partial(download_zig, lock=lock) if lock else None)
    except BuildError as error:
        print(error.log, end="")
        print(f"The kernel is not built: {error}.", file=sys.stderr)
        return 1
    libraries = libraries_in()
    for instruction_set, path in libraries.items():
        print(f"{instruction_set.name}: {path}")
    if not libraries:
        print(f"There is no kernel for {platform.system()} on {platform.machine()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
