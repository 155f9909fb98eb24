"""What a command reports: the lines of its report file, or those of its output that match the campaign's pattern.

Nothing here waits or runs anything; `UnreadableReport` says why a line cannot be a report.
"""

import json
import os
import re
import reprlib
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from coarsefine.search.campaign.command_line import VALUE_GROUP
from coarsefine.search.training.user_code.values import Judged, judge

_Number = TypeVar("_Number", int, float)
_EPOCH = "epoch"
_LONGEST = 2**16
"""Bytes of the longest line that is read; longer ones are no reports."""
_AT_ONCE = 2**20
"""Bytes that are read of a report file at a time."""
_NO_WAIT = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
"""How a file is opened that may be a pipe without a writer."""
_ENDS = re.compile(rb"\r\n|\n|\r")


class UnreadableReport(ValueError):  # noqa: N818 - named as what is wrong
    """A line cannot be read as a report; the message is the reason why the trial FAILs."""


@dataclass(frozen=True, slots=True)
class ReportLine:
    """An epoch as a command reported it; the values are checked where those of functions are."""

    value: Any
    metrics: dict[str, Any]
    epoch: int | None = None
    """The number of the epoch, from 1; None if the command did not give it."""


Read = Callable[[str], ReportLine | None]
"""Reads a line, and returns None if it is no report."""


def reader_of(parse: str | None, metric: str) -> Read:
    """Return how a campaign reads lines: by its pattern, or as JSON without one."""
    return json_reader(metric) if parse is None else pattern_reader(re.compile(parse))


def json_reader(metric: str) -> Read:
    """Return how lines of JSON are read: an object with the key `metric`, else `value`, or just a number."""

    def read(line: str) -> ReportLine | None:
        if not line.strip():
            return None
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UnreadableReport(f"its report {reprlib.repr(line)} is not a line of JSON: {error}") from error
        if not isinstance(found, dict):
            return ReportLine(found, {})
        key = metric if metric in found else VALUE_GROUP
        if key not in found:
            wanted = f"'{metric}'" if metric == VALUE_GROUP else f"'{metric}' or '{VALUE_GROUP}'"
            raise UnreadableReport(f"its report {reprlib.repr(line)} has no key {wanted}")
        epoch = found.get(_EPOCH)
        if epoch is not None and type(epoch) is not int:
            raise UnreadableReport(f"its report {reprlib.repr(line)} has an epoch that is no whole number")
        metrics = {name: value for name, value in found.items() if name not in {key, _EPOCH}}
        return ReportLine(found[key], metrics, epoch)

    return read


def pattern_reader(pattern: re.Pattern[str]) -> Read:
    """Return how lines of output are read: by the groups of the first match of a pattern."""

    def read(line: str) -> ReportLine | None:
        if (match := pattern.search(line)) is None or match[VALUE_GROUP] is None:
            return None
        groups = {name: text for name, text in match.groupdict().items() if text is not None}
        epoch = groups.pop(_EPOCH, None)
        numbers = {name: _number(name, text, float) for name, text in groups.items()}
        return ReportLine(numbers.pop(VALUE_GROUP), numbers, None if epoch is None else _number(_EPOCH, epoch, int))

    return read


def nothing_reported(parse: str | None) -> str:
    """Return what is wrong with a command that ended with exit code 0 and has reported nothing."""
    if parse is not None:
        return f"no line of its output matches parse = {parse!r}"
    return "it ended with exit code 0, and wrote no value to the file that COARSEFINE_REPORT names"


def _number(group: str, text: str, kind: Callable[[str], _Number]) -> _Number:
    try:
        return kind(text)
    except ValueError as error:
        whole = "whole " if group == _EPOCH else ""
        raise UnreadableReport(
            f"parse matched {reprlib.repr(text)} as its {group}, which is no {whole}number: make the pattern match "
            "the number only"
        ) from error


@dataclass(slots=True)
class ReportCounter:
    """Numbers and judges the reports of one process of a command."""

    read: Read
    metric: str
    count: int = 0
    """The number of the last report."""

    def report_of(self, line: str) -> Judged | None:
        """Return the value of the epoch `count`, which the line reports; None if the line is no report.

        Raises `UnreadableReport` for a line that cannot be read.
        """
        if (report := self.read(line)) is None:
            return None
        self.count = self.count + 1 if report.epoch is None else report.epoch
        return judge(report.value, self.count, self.metric, report.metrics)


@dataclass(slots=True)
class Lines:
    """Divides bytes, as they arrive, into lines that end in a line feed, a carriage return or both.

    Empty lines and lines that are too long are left out.
    """

    _rest: bytes = b""
    _too_long: bool = False
    """Whether the unfinished line is too long, and what arrived of it was dropped."""

    def add(self, data: bytes) -> list[str]:
        """Return the lines that these bytes complete."""
        *ended, rest = _ENDS.split(self._rest + data)
        if ended and self._too_long:
            ended, self._too_long = ended[1:], False
        if self._too_long or len(rest) > _LONGEST:
            rest, self._too_long = b"", True
        self._rest = rest
        return [line.decode("utf-8", "replace") for line in ended if 0 < len(line) <= _LONGEST]

    def end(self) -> list[str]:
        """Return the last line if it has no end, in a list: nothing arrives any more."""
        return self.add(b"\n")


@dataclass(slots=True)
class GrowingFile:
    """Reads what is appended to a file; a file that became shorter was rewritten, and is read from its start."""

    path: Path
    _place: int = 0
    _lines: Lines = field(default_factory=Lines)

    def new_lines(self) -> list[str]:
        """Return the lines that were completed since the last call; not all of them, if they are a megabyte or more."""
        return self._lines.add(self._read())

    def last_lines(self) -> list[str]:
        """Return all lines since the last call, including one without an end: nobody writes any more."""
        found: list[str] = []
        while data := self._read():
            found += self._lines.add(data)
        return found + self._lines.end()

    def _read(self) -> bytes:
        try:
            with open(os.open(self.path, _NO_WAIT), "rb") as file:  # noqa: PTH123 - of a descriptor
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):  # a pipe that the command has put in its place, for example
                    return b""
                if found.st_size < self._place:
                    self._place, self._lines = 0, Lines()
                file.seek(self._place)
                data = file.read(_AT_ONCE)
        except OSError:  # the command may be replacing the file
            return b""
        self._place += len(data)
        return data
