"""Read the logs of trials and workers: their ends as plain lines, and what is appended to them."""

import codecs
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 64 * 1024
"""The most of a log that is read for a page or a table, and at a time."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""Escape sequences of terminals: colours, cursor movements, titles."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters without tabs, line ends and carriage returns."""
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of a log."""

    lines: tuple[str, ...]
    """Plain text: without colours and other codes of a terminal, and of a progress bar its last state."""
    size: int
    """Bytes of the whole log."""
    is_whole: bool
    """Whether the lines are all of the log."""


def read_end(path: Path, folder: Path) -> LogEnd | None:
    """Return the end of a log in a folder; None if there is no regular file of this name in that very folder.

    User code can write into the folder of logs, so a link is not followed: it may lead to any file.
    """
    path, folder = path.absolute(), folder.absolute()
    if path.parent.resolve() != folder.resolve() / path.parent.relative_to(folder):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        start = max(found.st_size - MOST_BYTES, 0)
        file.seek(start)
        content = file.read(MOST_BYTES)
    if start:  # from the next line on
        content = content.partition(b"\n")[2]
    return LogEnd(tuple(plain_lines(content)), found.st_size, not start)


def plain_lines(content: bytes) -> Iterator[str]:
    """Yield the lines of a log as plain text."""
    for line in content.decode("utf-8", "replace").split("\n"):
        shown = line.rstrip("\r").rpartition("\r")[2]
        yield without_codes(shown).rstrip()


def without_codes(text: str) -> str:
    """Return text without escape sequences and control characters, which could change the state of a terminal."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


class Follower:
    """Reads what is appended to some files, in blocks; a file may appear later, or be replaced by a shorter one."""

    is_behind: bool = False
    """Whether files have more than the last call of `new` returned."""

    def __init__(self, paths: Callable[[], list[Path]]) -> None:
        self._paths, self._read = paths, dict[Path, int]()

    def new(self) -> Mapping[Path, bytes]:
        """Return what was appended to each file since the last call, or the first 64 KB of it.

        Each file is read from its beginning.
        """
        self.is_behind = False
        return {path: text for path in self._paths() if (text := self._appended(path))}

    def skip_all_but(self, lines: int) -> None:
        """Leave out all but the last lines of what the files hold now."""
        for path in self._paths():
            with path.open("rb") as file:
                self._read[path] = _start_of_last(file, lines)

    def _appended(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = self._read.get(path, 0)
                start = file.seek(start if start <= size else 0)
                text = file.read(MOST_BYTES)
        except OSError:
            return b""
        if len(text) == MOST_BYTES:
            self.is_behind = True
            text = text[: _end_of_block(text)]
        self._read[path] = start + len(text)
        return text


def _end_of_block(text: bytes) -> int:
    """Return where to end a block that may end anywhere: after its last line, or else after its last character."""
    end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
    return end or codecs.utf_8_decode(text, "replace", False)[1]


def _start_of_last(file: BinaryIO, lines: int) -> int:
    """Return where the last lines of a file start, or its last `MOST_BYTES` if they are longer."""
    size = file.seek(0, os.SEEK_END)
    start = max(size - MOST_BYTES, 0)
    file.seek(start)
    content = file.read()
    ends = [place for place, byte in enumerate(content[:-1]) if byte == ord("\n")]
    return start + ends[-lines] + 1 if len(ends) >= lines else start
