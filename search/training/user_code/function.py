"""A user's training function: imported by the name in the campaign, checked, and identified by its source file.

It is called as `function(point, seed, report)` and returns the trial's value; see `function_call`.
"""

import importlib
import inspect
import operator
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from coarsefine.search.errors import CampaignError
from coarsefine.search.training.user_code.source_file import digest_of, hidden_source, own_folders, place_of

_Called = TypeVar("_Called", bound=Callable[..., Any])
_MARK = "__trains_a_batch__"
_NOT_THE_USERS = ("<frozen", f"{Path(__file__).parents[3]}{os.sep}")
"""How the file names of Python's own import system and of Coarsefine start."""


@dataclass(frozen=True, slots=True)
class Function:
    """A user's training function."""

    name: str
    """`package.module:function`."""
    call: Callable[..., Any]
    file: Path
    """The source file of the function's module."""
    digest: str
    """SHA-256 of that file."""
    batched: bool
    """Whether one call trains several trials."""

    @property
    def module_name(self) -> str:
        """Return `package.module`."""
        return self.name.partition(":")[0]


def batched(function: _Called) -> _Called:
    """Declare that a function trains several trials at once: `function(points, seeds, report)`.

    `points` and `seeds` have equal lengths. After each epoch, `report` takes one value for each trial still in
    training, in order, and returns the positions in `points` of the trials that go on. The function returns the values
    of the last epoch in the same form, or None. A trial's values must not depend on the trials it is trained with.
    """
    setattr(function, _MARK, True)
    return function


def load_function(name: str, folder: Path | None = None) -> Function:
    """Return the function named `package.module:function`.

    Its module is looked for on the Python path, then in the working directory, then in `folder`, where the campaign's
    file is.

    Raises `CampaignError` if it cannot be imported, does not exist, or does not take the arguments it is called with.
    """
    module_name, _, path = name.partition(":")
    folders = own_folders(folder)
    try:
        return _loaded(name, _imported(name, module_name, folders), path)
    except CampaignError as error:
        if (hidden := hidden_source(module_name, folders)) is None:
            raise
        imported = place_of(sys.modules[module_name.partition(".")[0]])
        raise CampaignError(
            f"objective = '{name}': Python imported {imported}, which hides {hidden}: give the latter another name."
        ) from error


def _loaded(name: str, module: ModuleType, path: str) -> Function:
    try:
        call = operator.attrgetter(path)(module)
    except AttributeError as error:
        raise CampaignError(
            f"objective = '{name}': there is no '{path}' in {place_of(module)}: correct the name in one of them."
        ) from error
    takes_batch = bool(getattr(call, _MARK, False))
    _check_call(name, call, ("points", "seeds", "report") if takes_batch else ("point", "seed", "report"))
    file = Path(getattr(module, "__file__", None) or "")
    try:
        return Function(name, call, file, digest_of(file), takes_batch)
    except OSError as error:
        raise CampaignError(
            f"objective = '{name}': its module has no source file, so a resumed run cannot tell "
            "whether the function changed: define it in a .py file."
        ) from error


def _imported(name: str, module_name: str, folders: Sequence[str]) -> ModuleType:
    """Import a module; the user's folders come last on the path, so that files there hide no installed module."""
    sys.path.extend([folder for folder in folders if folder not in sys.path])
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the module raises while it is imported
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is None or not f"{module_name}.".startswith(f"{absent}."):
            raise CampaignError(
                f"objective = '{name}' cannot be imported: {describe(error)}. Fix the module."
            ) from error
        raise CampaignError(
            f"objective = '{name}': there is no module '{absent}' on the Python path, nor in {' or '.join(folders)}: "
            "correct the name, or start in the module's folder."
        ) from error


def describe(error: BaseException) -> str:
    """Return an exception raised by user code in one line: its type, its message, and where it was raised."""
    if isinstance(error, SyntaxError):
        place = f" ({Path(error.filename or '?').name}, line {error.lineno})"
        return f"{type(error).__name__}: {error.msg}{place}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THE_USERS)]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    message = textwrap.shorten(str(error), 300, placeholder=" …")
    return f"{type(error).__name__}{message and ': '}{message}{place}"


def _check_call(name: str, call: Any, parameters: tuple[str, ...]) -> None:
    expected = ", ".join(parameters)
    if not callable(call):
        raise CampaignError(f"objective = '{name}' is not a function but {call!r}: name one that takes ({expected}).")
    try:
        signature = inspect.signature(call)
    except ValueError:  # some functions written in C have no known signature
        return
    try:
        signature.bind(*parameters)
    except TypeError as error:
        raise CampaignError(
            f"objective = '{name}' is called with ({expected}), but takes {signature}: {error}."
        ) from error
