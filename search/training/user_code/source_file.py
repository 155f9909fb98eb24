"""The source file of a user's module: found without importing it, since that runs its code, and compared."""

import difflib
import hashlib
import io
import sys
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from coarsefine.search.campaign.words import counted, join_words

_MOST_BYTES = 256 * 1024
"""The longest source that is kept: each study of the campaign has it."""
_MOST_LINES = 60
"""The most lines of a change that a refusal shows."""
_BLOCK = 1024 * 1024
"""Bytes that are read at a time of a longer file."""


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


@dataclass(frozen=True, slots=True)
class Source:
    """The source of user code."""

    file: Path
    """The file, or the folder of the `files`."""
    digest: str
    """SHA-256 of the file."""
    text: str | None
    """Its text; None if it is not kept, since it is long or is not text."""
    files: Mapping[str, str] | None = None
    """The digests of a command's files, by their names in the folder."""

    @classmethod
    def read(cls, file: Path, *, keep: bool = True) -> Self:
        """Read a file, and keep its text only if `keep`; raise `OSError` if it cannot be read."""
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
            digest = hashlib.sha256(content)
            while block := opened.read(_BLOCK):
                digest.update(block)
        return cls(file, digest.hexdigest(), _text_of(content) if keep else None)

    def as_attr(self) -> dict[str, Any]:
        """Return the form that studies store."""
        kept = {"source": self.text} if self.text is not None else {}
        files = {"files": dict(self.files)} if self.files is not None else {}
        return {"digest": self.digest, **files, **kept}


@dataclass(frozen=True, slots=True)
class Change:
    """User code that is not what a study goes on with."""

    before: Mapping[str, Any]
    """The attribute `objective` of the study, whose `source` studies of earlier versions lack."""
    now: Source

    @property
    def diff(self) -> str | None:
        """Return the unified diff from the study's source to the present one; None if one of them is not kept."""
        if (versions := self._versions) is None:
            return None
        before, now = versions
        name = ", ".join(file.name for file in self.files)
        return "\n".join(difflib.unified_diff(before, now, f"{name} (before)", f"{name} (now)", lineterm="")) or None

    @property
    def files(self) -> list[Path]:
        """Return the files that differ; only their folder if a study of an earlier version does not name them."""
        before, now = self.before.get("files"), self.now.files
        if before is None or now is None:
            return [self.now.file]
        return [self.now.file / name for name in sorted(before.keys() | now) if before.get(name) != now.get(name)]

    @property
    def subject(self) -> str:
        """Return the files that differ, in words."""
        return join_words([str(file) for file in self.files])

    @property
    def verb(self) -> str:
        """Return the auxiliary verb that goes with the subject."""
        return "has" if len(self.files) == 1 else "have"

    @property
    def extent(self) -> str:
        """Return how much differs, in words."""
        if len(self.files) > 1:
            return "differ"
        versions = self._versions
        if versions is None or (self.now.files is not None and self.now.text == self.before.get("source")):
            return "differs"
        parts = difflib.SequenceMatcher(None, *versions, autojunk=False).get_opcodes()
        changed = sum(max(i2 - i1, j2 - j1) for kind, i1, i2, j1, j2 in parts if kind != "equal")
        return f"differs in {counted(changed, 'line')}" if changed else "differs in its line ends"

    @property
    def shown(self) -> str:
        """Return what follows a sentence that says that the code has changed: a colon and the diff, or a full stop."""
        lines = (self.diff or "").splitlines()
        more = [f"… and {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
        return "\n".join([":", *lines[:_MOST_LINES], *more, ""]) if lines else ". "

    def sentence(self, status: str, *, done: bool) -> str:
        """Return what people should know about the results of the study, which are of the earlier version.

        `status` is the command line that shows the campaign's status, and `done` whether the campaign is.
        """
        go_on = "go on with the present version, give `run` the option --accept-changes"
        again = "search with the present version, run the campaign under another name"
        return (
            f"{self.subject} {self.extent} from the version that gave these results: `{status} --diff` shows how. To "
            f"{again if done else go_on}."
        )

    @property
    def _versions(self) -> tuple[list[str], list[str]] | None:
        before, now = self.before.get("source"), self.now.text
        return None if before is None or now is None else (before.splitlines(), now.splitlines())


def _text_of(content: bytes) -> str | None:
    """Return a source as text; None if it is too long to be kept with each study, or cannot be decoded."""
    if len(content) > _MOST_BYTES:
        return None
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text  # PostgreSQL stores no NUL


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
