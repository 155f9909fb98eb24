"""Where a command's reports are read: its standard output, which also goes to the trial's log, or its report file."""

import os
import select
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coarsefine.search.training.user_code.command_reports import GrowingFile, Lines
from coarsefine.search.training.user_code.failures import printable

_BLOCK = 2**16
_MOST_BLOCKS = 16
"""The most blocks that are read at a time, so that a flood of output does not hide the clock from the worker."""
_TAIL_BYTES, _TAIL_LINES = 2000, 3


class ReportLines(Protocol):
    """The lines of a command that may be reports."""

    def new_lines(self) -> list[str]:
        """Return the lines that were completed since the last call."""

    def last_lines(self) -> list[str]:
        """Return all lines since the last call: the process has ended."""

    def wait(self, seconds: float) -> None:
        """Wait for new lines, but not longer than so many seconds."""

    def close(self) -> None:
        """Stop reading."""


@dataclass(slots=True)
class ReportFile:
    """The lines of a report file."""

    path: Path
    _file: GrowingFile = field(init=False)

    def __post_init__(self) -> None:
        self.path.touch()
        self._file = GrowingFile(self.path)

    def new_lines(self) -> list[str]:
        """Return the lines that were completed since the last call."""
        return self._file.new_lines()

    def last_lines(self) -> list[str]:
        """Return all lines since the last call."""
        return self._file.last_lines()

    def wait(self, seconds: float) -> None:
        """Wait so long: not every file system says when a file has grown."""
        time.sleep(seconds)

    def close(self) -> None:
        """Do nothing: the file is closed between reads."""


@dataclass(slots=True)
class Output:
    """The lines of standard output, read from a named pipe and copied to the trial's log."""

    path: Path
    log: Path
    _pipe: int = field(init=False)
    _copy: int = field(init=False)
    _lines: Lines = field(default_factory=Lines)
    _has_writer: bool = False
    """Whether a program held the other end at the last read; else waiting for the pipe would return at once."""

    def __post_init__(self) -> None:
        os.mkfifo(self.path, 0o600)
        self._pipe = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._copy = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def new_lines(self) -> list[str]:
        """Return the lines that were completed since the last call, at most about a megabyte of them."""
        return [line for _ in range(_MOST_BLOCKS) if (data := self._read()) for line in self._lines.add(data)]

    def last_lines(self) -> list[str]:
        """Return all lines since the last call; the last one may lack its end."""
        found: list[str] = []
        while data := self._read():
            found += self._lines.add(data)
        return found + self._lines.end()

    def wait(self, seconds: float) -> None:
        """Wait for output, but not longer than so many seconds."""
        if self._has_writer:
            select.select([self._pipe], [], [], seconds)
        else:
            time.sleep(seconds)

    def close(self) -> None:
        """Close the pipe and the log."""
        os.close(self._pipe)
        os.close(self._copy)

    def _read(self) -> bytes:
        try:
            data = os.read(self._pipe, _BLOCK)
        except BlockingIOError:
            self._has_writer = True
            return b""
        self._has_writer = bool(data)
        with suppress(OSError):  # a full disk costs the log, not the trial
            os.write(self._copy, data)
        return data


def last_words(log: Path, start: int) -> str:
    """Return the last lines of a log after its first `start` bytes, in one line; empty if there are none."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(start, end - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(" | ".join(lines[-_TAIL_LINES:]))


def lacks_module(words: str) -> bool:
    """Return whether a program of Python says that it cannot import a module."""
    return "No module named" in words


def which_program(program: str) -> str:
    """Return which file a program is that was found on the PATH, to append to a sentence; empty for a path."""
    found = None if os.sep in program else shutil.which(program)
    return "" if found is None else f" ({program} is {found}: activate your environment, or name its {program})"
