"""A user's training function: imported by the name in the campaign, checked, and identified by its source file.

It is imported in processes that run user code only; workers get its description from one of them, see `server`.
"""

import importlib
import importlib.util
import inspect
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self, TypeVar

from coarsefine.search.arguments import require_callable
from coarsefine.search.errors import CampaignError
from coarsefine.search.training.user_code.failures import describe, shown
from coarsefine.search.training.user_code.module_source import refuse_study_in_body
from coarsefine.search.training.user_code.source_file import (
    Source,
    find_source,
    hidden_source,
    own_folders,
    place_of,
)

_Called = TypeVar("_Called", bound=Callable[..., Any])
_MARK = "__trains_a_batch__"
Form = Literal["plain", "batched", "optuna"]
PARAMETERS: dict[Form, tuple[str, ...]] = {
    "plain": ("point", "seed", "report"),
    "batched": ("points", "seeds", "report"),
    "optuna": ("trial",),
}
"""What functions of each form are called with."""
_SURE_SECONDS = 2
"""Bytecode tells sources apart by their length and the second of their last change."""


@dataclass(frozen=True, slots=True)
class Function:
    """A user's training function, as far as it is known without calling it."""

    name: str
    """`package.module:function`."""
    file: Path
    """The source file of the function's module."""
    digest: str
    """SHA-256 of that file."""
    form: Form
    """What it is called with."""
    hidden: Path | None = None
    """The user's module of the same name that was not imported, since the Python path comes before its folder."""
    text: str | None = None
    """The text of the source file; None if it is not kept."""

    @property
    def source(self) -> Source:
        """Return the source of the function's module."""
        return Source(self.file, self.digest, self.text)

    @property
    def batched(self) -> bool:
        """Return whether one call trains several trials."""
        return self.form == "batched"

    def as_message(self) -> dict[str, Any]:
        """Return the form in a message."""
        return {**asdict(self), "file": str(self.file), "hidden": str(self.hidden) if self.hidden else None}

    @classmethod
    def from_message(cls, form: Mapping[str, Any]) -> Self:
        """Read what `as_message` returned."""
        return cls(**{**form, "file": Path(form["file"]), "hidden": Path(form["hidden"]) if form["hidden"] else None})


def batched(function: _Called) -> _Called:
    """Declare that a function trains several trials at once: `function(points, seeds, report)`.

    `points` and `seeds` have equal lengths. After each epoch, `report` takes one value for each trial still in
    training, in order, and returns the positions in `points` of the trials that go on. The function returns the values
    of the last epoch in the same form, or None. A trial's values must not depend on the trials it is trained with.
    """
    require_callable("batched: function", function)
    setattr(function, _MARK, True)
    return function


def load_function(name: str, folder: Path | None = None) -> tuple[Function, Callable[..., Any]]:
    """Import the function named `package.module:function` into this process; return its description and itself.

    Its module is looked for on the Python path, then in the working directory, then in `folder`, where the campaign's
    file is.

    Raises `CampaignError` if it cannot be imported, does not exist, or does not take the arguments it is called with.
    """
    module_name, _, path = name.partition(":")
    folders = own_folders(folder)
    _refuse_study(name, find_source(module_name, [*sys.path, *folders]))
    try:
        module = _imported(name, module_name, folders)
        call = _attribute(name, module, path)
    except CampaignError as error:
        if (hidden := hidden_source(module_name, folders)) is None:
            raise
        imported = place_of(sys.modules[module_name.partition(".")[0]])
        raise CampaignError(
            f"objective = '{name}': Python imported {imported}, which hides {hidden}: give the latter another name."
        ) from error
    return _described(name, module, call, hidden_source(module_name, folders)), call


def _refuse_study(name: str, file: Path | None) -> None:
    with suppress(OSError, ValueError):  # a module without a source, or one that is no text
        source = "" if file is None else file.read_text("utf-8")
        refuse_study_in_body(name, source)


def _attribute(name: str, module: ModuleType, path: str) -> Callable[..., Any]:
    try:
        call: Any = operator.attrgetter(path)(module)
    except AttributeError as error:
        raise CampaignError(
            f"objective = '{name}': there is no '{path}' in {place_of(module)}: correct the name in one of them."
        ) from error
    if not callable(call):
        expected = ", ".join(PARAMETERS["plain"])
        raise CampaignError(
            f"objective = '{name}' is not a function but {shown(call)}: name one that takes ({expected})."
        )
    found: Callable[..., Any] = call
    return found


def _described(name: str, module: ModuleType, call: Callable[..., Any], hidden: Path | None) -> Function:
    file = Path(getattr(module, "__file__", None) or "")
    try:
        source = Source.read(file)
        return Function(name, file, source.digest, _form_of(name, call), hidden, source.text)
    except OSError as error:
        raise CampaignError(
            f"objective = '{name}': its module has no source file, so a resumed run cannot tell "
            "whether the function changed: define it in a .py file."
        ) from error


def _imported(name: str, module_name: str, folders: Sequence[str]) -> ModuleType:
    """Import a module; the user's folders come last on the path, so that files there hide no installed module."""
    sys.path.extend([folder for folder in folders if folder not in sys.path])
    try:
        _remove_doubtful_bytecode(module_name)
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the module raises while it is imported
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is None or not f"{module_name}.".startswith(f"{absent}."):
            raise CampaignError(
                f"objective = '{name}' cannot be imported: {describe(error)}. Fix the module."
            ) from error
        if module_name.endswith(".py") or "/" in module_name:
            path = module_name.removesuffix(".py").strip("./").replace("/", ".")
            raise CampaignError(
                f"objective = '{name}' names a file, where a module is wanted: did you mean "
                f"'{path}:{name.partition(':')[2]}'?"
            ) from error
        raise CampaignError(
            f"objective = '{name}': there is no module '{absent}' on the Python path, nor in {' or '.join(folders)}: "
            "correct the name, or start in the module's folder."
        ) from error


def _remove_doubtful_bytecode(module_name: str) -> None:
    """Remove a module's bytecode if it was compiled within two seconds of the source's last change.

    Python takes it for the present source's if that changed in the same second and has the same length: then the
    source that is recorded would not be the one that trains.
    """
    spec = None if module_name in sys.modules else importlib.util.find_spec(module_name)
    if spec is None or spec.origin is None or spec.cached is None:
        return
    with suppress(OSError):  # there is none, or it cannot be removed
        bytecode = Path(spec.cached)
        if bytecode.stat().st_mtime < Path(spec.origin).stat().st_mtime + _SURE_SECONDS:
            bytecode.unlink()


def _form_of(name: str, call: Callable[..., Any]) -> Form:
    """Return how a function is called: by its decorator, else by the number of its parameters."""
    form: Form = "batched" if getattr(call, _MARK, False) is True else "plain"
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # some functions written in C have no known signature
        return form
    if form == "plain" and _takes(signature, "optuna") is None and _takes(signature, "plain") is not None:
        return "optuna"
    if (problem := _takes(signature, form)) is not None:
        expected = ", ".join(PARAMETERS[form])
        raise CampaignError(f"objective = '{name}' is called with ({expected}), but takes {signature}: {problem}.")
    return form


def _takes(signature: inspect.Signature, form: Form) -> TypeError | None:
    """Return why a function cannot be called with the arguments of a form; None if it can."""
    try:
        signature.bind(*PARAMETERS[form])
    except TypeError as error:
        return error
    return None
