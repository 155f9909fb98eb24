"""Find the source file of a user's module without importing it, since importing runs its code."""

import hashlib
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType


def own_folders(folder: Path | None) -> list[str]:
    """Return where a user's module is looked for after the Python path.

    These are the working directory, then `folder`, where the campaign's file is.
    """
    return list(dict.fromkeys(map(str, (Path.cwd(), *([folder] if folder else [])))))


def find_source(module_name: str, folders: Sequence[str]) -> Path | None:
    """Return the file of the module `package.module`, as Python would find it in these folders; None without one."""
    places, name = list(folders), ""
    file: str | None = None
    for part in module_name.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, places)
        if spec is None:
            return None
        places, file = list(spec.submodule_search_locations or ()), spec.origin
    return Path(file) if file is not None else None


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file; raise `OSError` if it cannot be read."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def changed_since(objective: object, folder: Path | None = None) -> str | None:
    """Return a sentence if the file of an objective has changed since it was recorded; None if not, or if not found.

    `objective` is the attribute of a study, with the `name` and the `digest` of the function. `folder` is where the
    campaign's file is, if that is known.
    """
    match objective:
        case {"name": str(name), "digest": str(digest)}:
            file = find_source(name.partition(":")[0], [*sys.path, *own_folders(folder)])
            if file is not None and file.is_file() and digest_of(file) != digest:
                return (
                    f"{file} differs from the file that this campaign was started with. The results are those of that "
                    "version: run the campaign under another name to search with the present one."
                )
    return None


def place_of(module: ModuleType) -> str:
    """Return where a module is, for people."""
    return getattr(module, "__file__", None) or f"the module {module.__name__}"


def hidden_source(module_name: str, folders: Sequence[str]) -> Path | None:
    """Return the user's module in these folders if Python has imported another one of the same name; else None."""
    top = sys.modules.get(module_name.partition(".")[0])
    if top is None:
        return None
    places = [*getattr(top, "__path__", ())] or [getattr(top, "__file__", None) or ""]
    owned = {Path(folder).resolve() for folder in folders}
    return None if owned & {Path(place).resolve().parent for place in places} else find_source(module_name, folders)
