"""Import modules even if files of a project shadow modules of the standard library.

`python driver.py` searches the script's folder before the standard library, and `python -m` and the process that forks
workers search the working directory. There, `concurrent.futures`, `multiprocessing` and Dask would import a project's
`queue.py` in place of the standard library's `queue`, and fail.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType

_set_aside: dict[str, ModuleType] = {}
"""Modules of the standard library that are in use, and whose names are left to the project's files."""


def import_unshadowed(modules: Iterable[str]) -> None:
    """Import modules, and all that they import, with the standard library's modules under their own names.

    Do nothing if no file of the project has such a name. A module that is not installed is skipped. Afterwards the
    project's files are imported by their names as before: by then, all others have what they need.
    """
    standard_library = os.path.dirname(os.__file__)  # noqa: PTH120 - pathlib may be shadowed, and takes time to import
    folders = sys.path[: sys.path.index(standard_library)] if standard_library in sys.path else []
    if names := _shadowed_names(folders):
        with _standard_library_first(names, folders):
            for module in modules:
                with suppress(ModuleNotFoundError):
                    import_module(module)


def _shadowed_names(folders: list[str]) -> set[str]:
    names: set[str] = set()
    for folder in folders:
        with suppress(OSError):  # an entry of the path need not exist
            names.update(file.partition(".")[0] for file in os.listdir(folder or "."))  # noqa: PTH208 - as above
    found = {name: PathFinder.find_spec(name, folders) for name in names & sys.stdlib_module_names}
    return {name for name, spec in found.items() if spec is not None and spec.loader is not None}


@contextmanager
def _standard_library_first(names: set[str], folders: list[str]) -> Iterator[None]:
    """Search `folders` last, and set aside what has been imported from them under `names`, until the block ends."""
    path = sys.path.copy()
    known = _modules_named(names)
    shadowing = tuple(os.path.join(os.path.abspath(folder), "") for folder in folders)  # noqa: PTH100, PTH118 - as above
    for name, module in known.items():
        if (getattr(module, "__file__", None) or "").startswith(shadowing):
            del sys.modules[name]
    sys.modules.update(_set_aside)
    sys.path[:] = [folder for folder in path if folder not in folders] + folders
    try:
        yield
    finally:
        sys.path[:] = path
        for name, module in _modules_named(names).items():
            if known.get(name) is not module:
                _set_aside[name] = sys.modules.pop(name)
        sys.modules.update(known)


def _modules_named(names: set[str]) -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}
