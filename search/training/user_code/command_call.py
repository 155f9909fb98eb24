"""A trial of a command, as its worker talks with it: the process reports lines, and is suspended in between.

From a report until the worker asks for the next epoch the process group is stopped, so a trial that waits at a rung
neither computes nor trains on. What it wrote before it was stopped is kept, and counts once it is asked for.
"""

import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from coarsefine.search.files import unwritable
from coarsefine.search.results.trial_files import TrialFiles
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.user_code.command import Command
from coarsefine.search.training.user_code.command_output import (
    Output,
    ReportFile,
    ReportLines,
    lacks_module,
    last_words,
    which_program,
)
from coarsefine.search.training.user_code.command_reports import (
    Read,
    ReportCounter,
    UnreadableReport,
    nothing_reported,
)
from coarsefine.search.training.user_code.conversation import Killed, News, Raised, Reported, Returned
from coarsefine.search.training.user_code.epochs_remedy import EpochsRemedy
from coarsefine.search.training.user_code.function_call import CallSetup, planned_of
from coarsefine.search.training.user_code.trial_server import (
    KILLED_FROM_OUTSIDE,
    TrialProcess,
    TrialServer,
    how_it_ended,
)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02
"""Seconds between looks for new lines: after a report short ones, then longer ones."""
_KILL_SECONDS = 10.0
"""How long a process that was killed may take to be gone: not even a kill ends one that waits for a broken disk."""


@dataclass(frozen=True, slots=True)
class CommandSetup:
    """What each trial of a command in one stage is made with, beside what functions are."""

    command: Command
    read: Read
    """Reads a line."""
    parse: str | None
    """The pattern of the lines of standard output that are reports; None if they come from the report file."""
    grace: float
    """Seconds from SIGTERM to SIGKILL."""
    remedy: EpochsRemedy
    """What to say of a process that reports fewer epochs."""

    @property
    def reads_output(self) -> bool:
        """Return whether the lines are those of standard output, not of the report file."""
        return self.parse is not None


@dataclass(slots=True, eq=False)
class CommandCall:
    """One process of the command, for one slot."""

    server: TrialServer
    setup: CallSetup
    own: CommandSetup
    slot: Slot
    _files: TrialFiles = field(init=False)
    _folder: Path = field(init=False)
    """A folder of this process, for its point and its reports."""
    _source: ReportLines = field(init=False)
    _process: TrialProcess | None = None
    _logged: int = 0
    """The size of the log before the process started."""
    _suspended: bool = False
    _late: float | None = None
    """When a process that was asked to end is not waited for any longer."""
    _lines: deque[str] = field(default_factory=deque)
    """Lines that were read and not passed on yet."""
    _reports: ReportCounter = field(init=False)

    def __post_init__(self) -> None:
        self._files = self.setup.files_of(self.slot.number)

    def proceed(self, positions: Sequence[int], epoch: int, until: int) -> None:  # noqa: ARG002 - of one slot
        """Start the process after `epoch` epochs. Later, it goes on as soon as what it has written is used up."""
        if self._process is None:
            self._start(epoch)

    def receive(self, seconds: float) -> News | None:
        """Return the next report, or how the process ended; None if there is neither after so many seconds."""
        until, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while (news := self._look()) is None and time.monotonic() < until:
            self._source.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return news

    def kill(self) -> None:
        """Terminate the process, since it is late."""
        self.end()

    def ask_to_end(self) -> None:
        """Send the process SIGTERM if it runs, and have it killed after its grace."""
        if self._process is not None and self._late is None and self._process.exit_code() is None:
            self._process.terminate(self.own.grace)
            self._late = time.monotonic() + self.own.grace + _KILL_SECONDS

    def end(self) -> None:
        """Terminate the process if it runs, with SIGTERM first, and remove what was made for this call."""
        if self._process is None:
            return
        self.ask_to_end()
        process, late = self._process, self._late
        self._process = self._late = None
        while late is not None and process.exit_code() is None and time.monotonic() < late:
            self._source.new_lines()  # the process may wait until its output is read
            self._source.wait(_LONGEST_PAUSE)
        process.give_back(reusable=False)
        self._source.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._files.tidy()

    def _start(self, epoch: int) -> None:
        self._reports, self._suspended = ReportCounter(self.own.read, self.setup.metric), False
        self._lines.clear()
        self.setup.open_files(self.slot, self._files, epoch)
        log, reads_output = self._files.log, self.own.reads_output
        self._logged = log.stat().st_size
        planned = planned_of(self.slot, self._files, epoch)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="coarsefine-"))
            point, report, output = (self._folder / name for name in ("point.json", "report.jsonl", "output"))
            words, variables = self.own.command.filled(planned, self.setup.epochs, point)
            self._source = Output(output, log) if reads_output else ReportFile(report)
        except OSError as error:
            raise unwritable(Path(error.filename or tempfile.gettempdir()), error) from error
        variables |= {} if reads_output else {"COARSEFINE_REPORT": str(report)}
        self._process = self.server.take()
        self._process.send(
            {
                "kind": "call",
                "form": self.own.command.form,
                "arguments": words,
                "directory": str(self.own.command.folder),
                "environment": self.setup.variables([planned]) | variables,
                "log": str(log),
                "output": str(output) if reads_output else None,
            }
        )

    def _look(self) -> News | None:
        """Return the next report, or how the process ended, if there is one or the other by now."""
        assert self._process is not None, "the call has been started"  # noqa: S101
        code = None
        try:
            if (news := self._next_report()) is None:
                self._signal("SIGCONT", suspended=False)
                code = self._process.exit_code()  # before the lines are read, so that none is missed
                self._lines += self._source.new_lines() if code is None else self._source.last_lines()
                news = self._next_report()
        except UnreadableReport as unreadable:
            return Raised(str(unreadable), "report")
        if news is None:
            return None if code is None else self._end_of(code)
        self._signal("SIGSTOP", suspended=True)
        return news

    def _next_report(self) -> Reported | None:
        while self._lines:
            if (judged := self._reports.report_of(self._lines.popleft())) is not None:
                return Reported(self._reports.count, {0: judged})
        return None

    def _end_of(self, code: int) -> News:
        """Return how the process ended, in the terms of a function."""
        how, count = how_it_ended(code), self._reports.count
        words = last_words(self._files.log, self._logged)
        if code == 0 and count == self.setup.epochs:
            return Returned()
        if code == 0 and count:
            how = self.own.remedy.ended_after(count)
        elif code == 0:
            how = nothing_reported(self.own.parse)
        elif lacks_module(words):
            how += which_program(self.own.command.arguments[0])
        reason = f"{how}; it printed last: {words}" if words else f"{how}; it printed nothing"
        return Killed(reason) if code in KILLED_FROM_OUTSIDE else Raised(reason, how)

    def _signal(self, name: str, *, suspended: bool) -> None:
        """Suspend the process group, or let it go on, unless it is as wanted already."""
        assert self._process is not None, "the call has been started"  # noqa: S101
        if suspended == self._suspended or self._process.exit_code() is not None:
            return
        self._suspended = suspended
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, getattr(signal, name))
