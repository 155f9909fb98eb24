"""Find what can be added by name: datasets, samplers, pruners and network settings.

Each kind is a `Group`. What Coarsefine brings itself is in the group's table, in the form of an entry point,
"module:object". Other packages register theirs as entry points of the group's name in their `pyproject.toml`:

    [project.entry-points."coarsefine.samplers"]
    halton = "my_package.halton:sample"

Nothing is imported before it is asked for. Entry points are read to list names, as the schema of campaign files does
for network settings, and to find a name that the table does not have.

The code of other packages may raise anything: `call` runs it and names the package in the error.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from coarsefine.model.errors import ExtensionError, message_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Group(Generic[T]):
    """One kind of extension."""

    name: str
    """The name of the entry points' group, such as `coarsefine.samplers`."""
    noun: str
    """What messages call one of them, such as "sampler"."""
    built_in: Mapping[str, str]
    """Where Coarsefine's own are, "module:object" by name. Other packages cannot replace them."""
    check: Callable[[Any], T]
    """Return what an entry point names, as one of this kind. Raise `TypeError` or `ValueError` if it is not,
    with the reason in words that follow the object's name: "takes no argument `rng`"."""
    loaded: dict[str, T] = field(default_factory=dict)
    """Those that `load` has imported."""


def known(group: Group[Any]) -> "dict[str, EntryPoint]":
    """Return what is installed of a kind, by name, Coarsefine's own first; nothing is imported.

    A name that several packages bring is the first one's; `load` refuses it.
    """
    found = {name: _built_in(group, name) for name in group.built_in}
    for entry in _installed(group):
        found.setdefault(entry.name, entry)
    return found


def load(group: Group[T], name: str) -> T:
    """Import one of a kind by its name.

    Raises `ExtensionError` if there is none of that name, if two packages bring it, if it cannot be imported, and if
    it is not of this kind.
    """
    if name not in group.loaded:
        group.loaded[name] = _imported(group, _entry(group, name))
    return group.loaded[name]


def package_of(group: Group[Any], name: str) -> tuple[str, str] | None:
    """Return the name and the version of the other package that brings this one; None for one of Coarsefine's own.

    Raises `ExtensionError` if there is none of that name, or if two packages bring it.
    """
    dist = None if name in group.built_in else _entry(group, name).dist
    return None if dist is None else (dist.name, dist.version)


def described(group: Group[Any], name: str) -> str:
    """Return how messages name one that exists: "sampler 'halton' of my-package 1.0"."""
    return f"{group.noun} '{name}' of {_source(_entry(group, name))}"


def call(group: Group[Any], name: str, run: Callable[[], R], *passed: type[Exception]) -> R:
    """Return what code of an extension returns; errors of the types `passed` are not changed.

    Raises `ExtensionError`, which names the extension, its package and the cause, for any other error and for an exit.
    """
    try:
        with exits_raise():
            return run()
    except passed:
        raise
    except (Exception, SystemExit) as error:  # the code of another package may raise anything
        raise ExtensionError(f"the {described(group, name)} failed: {_cause(error)}") from error


_inside = threading.local()
"""Has the process number `pid` while this thread runs the code of another package."""
_end_process = os._exit


@contextmanager
def exits_raise() -> Iterator[None]:
    """Let `os._exit` raise `SystemExit` in this thread, where the code of another package runs.

    It would end a run with the exit code of success, and nothing trained. Other threads and forked processes may.
    """
    os._exit = _exit
    before, _inside.pid = getattr(_inside, "pid", None), os.getpid()
    try:
        yield
    finally:
        _inside.pid = before


def _exit(status: int) -> NoReturn:
    if getattr(_inside, "pid", None) == os.getpid():
        raise SystemExit(f"os._exit({status})")
    _end_process(status)


def missing_packages(versions: Mapping[str, str]) -> list[str]:
    """Return those of these packages that are not installed here in any version, each as "name version"."""
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - slow to import, rarely needed

    missing = []
    for name, version in versions.items():
        try:
            distribution(name)
        except (PackageNotFoundError, ValueError):
            missing.append(f"{name} {version}")
    return missing


def _imported(group: Group[T], entry: "EntryPoint") -> T:
    source = f"{group.noun} '{entry.name}' of {_source(entry)} ({entry.value})"
    try:
        with exits_raise():
            found = entry.load()
    except (Exception, SystemExit) as error:  # the code of another package may raise anything
        raise ExtensionError(
            f"{source} cannot be imported ({_cause(error)}): correct or remove that package, "
            f"or name another {group.noun}"
        ) from error
    try:
        return call(group, entry.name, lambda: group.check(found), TypeError, ValueError)
    except (TypeError, ValueError) as error:
        raise ExtensionError(f"{source} {message_of(error)}: correct it, or name another {group.noun}") from error


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {message_of(error).rstrip('.')}".removesuffix(": ")


def _entry(group: Group[Any], name: str) -> "EntryPoint":
    if name in group.built_in:
        return _built_in(group, name)
    found = [entry for entry in _installed(group) if entry.name == name]
    if not found:
        raise ExtensionError(f"there is no {group.noun} '{name}' (known: {_listed(group)})")
    if len(found) > 1:
        packages = " and ".join(_source(entry) for entry in found)
        raise ExtensionError(f"{packages} both bring a {group.noun} '{name}': remove one of them")
    return found[0]


def _installed(group: Group[Any]) -> "list[EntryPoint]":
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, rarely needed

    return sorted(entry_points(group=group.name), key=lambda entry: (entry.name, _source(entry)))


def _built_in(group: Group[Any], name: str) -> "EntryPoint":
    from importlib.metadata import EntryPoint  # noqa: PLC0415 - slow to import

    return EntryPoint(name, group.built_in[name], group.name)


def _listed(group: Group[Any]) -> str:
    """Return the names that are known, those of other packages with the package."""
    return ", ".join(name if e.dist is None else f"{name} of {_source(e)}" for name, e in known(group).items())


def _source(entry: "EntryPoint") -> str:
    return "Coarsefine" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
