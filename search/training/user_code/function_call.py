"""A conversation with a function in a trial process, as a `Call` needs it."""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coarsefine.search.campaign.labels import point_text
from coarsefine.search.campaign.space import Space
from coarsefine.search.results.trial_files import TrialFiles
from coarsefine.search.storage.slots import Slot
from coarsefine.search.storage.tables import OWN_ATTRS
from coarsefine.search.training.user_code.channel import Message
from coarsefine.search.training.user_code.conversation import Killed, News, PrunedItself, Raised, Reported, Returned
from coarsefine.search.training.user_code.report import Planned
from coarsefine.search.training.user_code.trial_server import (
    KILLED_FROM_OUTSIDE,
    ProcessDied,
    TrialProcess,
    TrialServer,
)
from coarsefine.search.training.user_code.values import Judged

_END_SECONDS = 10.0
"""How long a function may clean up after `report` has raised `TrialEnded`."""


@dataclass(frozen=True, slots=True)
class CallSetup:
    """What each call of a stage is made with."""

    campaign: str
    stage: str
    form: str
    epochs: int
    metric: str
    recycle: int | None
    space: Space
    """The ranges that the campaign gives the stage."""
    environment: Mapping[str, str]
    """Variables of every trial, such as those of its devices."""
    files_of: Callable[[int], TrialFiles]
    """Returns the files of the trial with this number."""

    def open_files(self, slot: Slot, files: TrialFiles, epoch: int) -> None:
        """Make the folder and the log of a trial that is called after `epoch` epochs."""
        after = f", after epoch {epoch}" if epoch else ""
        title = f"{self.stage}#{slot.number}, attempt {slot.attempt}{after}, {point_text(slot.point)}"
        files.open(f"{title}, seed {slot.seed}, {socket.gethostname()} process {os.getpid()}")

    def variables(self, trials: Sequence[Planned]) -> dict[str, str]:
        """Return the environment variables of a call."""
        return {**self.environment, **trial_variables(self.campaign, self.stage, self.epochs, trials)}


def trial_variables(campaign: str, stage: str, epochs: int, trials: Sequence[Planned]) -> dict[str, str]:
    """Return the environment variables that describe the trials of a call, each of which has so many epochs."""

    def joined(values: Sequence[object], mark: str = ",") -> str:
        return mark.join(map(str, values))

    return {
        "COARSEFINE_CAMPAIGN": campaign,
        "COARSEFINE_STAGE": stage,
        "COARSEFINE_EPOCHS": str(epochs),
        "COARSEFINE_TRIAL": joined([trial.number for trial in trials]),
        "COARSEFINE_SEED": joined([trial.seed for trial in trials]),
        "COARSEFINE_ATTEMPT": joined([trial.attempt for trial in trials]),
        "COARSEFINE_EPOCH": joined([trial.epoch for trial in trials]),
        "COARSEFINE_FOLDER": joined([trial.folder for trial in trials], os.pathsep),
    }


def planned_of(slot: Slot, files: TrialFiles, epoch: int) -> Planned:
    """Return a trial as it is planned for a call after `epoch` epochs."""
    return Planned(slot.number, slot.point.as_dict(), slot.seed, slot.attempt, files.folder, epoch)


@dataclass(slots=True, eq=False)
class FunctionCall:
    """One call of a function, for slots that it trains together."""

    server: TrialServer
    setup: CallSetup
    slots: Sequence[Slot]
    _files: list[TrialFiles] = field(init=False)
    _process: TrialProcess | None = None
    _request: Message = field(default_factory=dict)
    """What the process is asked for."""
    _runs: bool = False
    """Whether the worker waits for the function's next message."""
    _waits: bool = False
    """Whether the function waits for an answer to the last report that was received."""
    _late: float | None = None
    """When a function that was asked to end is killed."""
    _told: Sequence[int] = ()
    """The positions that the function was told last; its next values are of these."""
    _reusable: bool | None = None
    """Whether the process can make another call; None before this one has ended."""

    def __post_init__(self) -> None:
        self._files = [self.setup.files_of(slot.number) for slot in self.slots]

    def proceed(self, positions: Sequence[int], epoch: int, until: int) -> None:
        """Start the call after `epoch` epochs, or let the function go on to its next epoch if it waits."""
        if self._process is None:
            self._reusable, self._told = None, list(positions)
            self._start(epoch, until)
        elif self._waits:
            self._told = list(positions)
            self._process.send({"kind": "continue", "positions": self._told, "until": until})
        self._runs, self._waits = True, False

    def receive(self, seconds: float) -> News | None:
        """Return what the function did; None if it did nothing for so many seconds."""
        assert self._process is not None, "the call has started"  # noqa: S101
        try:
            message = self._process.receive(seconds)
        except ProcessDied as died:
            self._runs = self._reusable = False
            reason = f"its process {died}" if died.code is not None else str(died)
            return Killed(reason) if died.code in KILLED_FROM_OUTSIDE else Raised(reason, reason)
        if message is None:
            return None
        if message["kind"] == "unfit":
            self._process.give_back(reusable=False)
            self._process = self._asked_process()
            return None
        self._runs = False
        return self._read(message)

    def kill(self) -> None:
        """Kill the function's process with all that it started."""
        if self._process is not None:
            self._process.kill()
            self._runs = self._reusable = False

    def ask_to_end(self) -> None:
        """Let a function that has reported clean up, after its next report; kill one that trains."""
        if self._process is None or self._reusable is not None or self._late is not None:
            return
        if self._runs:
            self.kill()
        else:
            self._process.send({"kind": "end"})
            self._late = time.monotonic() + _END_SECONDS

    def end(self) -> None:
        """End the call: a function that has reported may clean up after its next report, one that is late is killed."""
        if self._process is None:
            return
        self.ask_to_end()
        if self._reusable is None and self._late is not None:
            self._wait_for_end(self._late)
        self._process.give_back(reusable=self._reusable is True)
        self._process = self._late = None
        for files in self._files:
            files.tidy()
            if files is not self._files[0]:
                files.refer_to(self._files[0].log)

    def _start(self, epoch: int, until: int) -> None:
        trials = [planned_of(slot, files, epoch) for slot, files in zip(self.slots, self._files, strict=True)]
        for slot, files in zip(self.slots, self._files, strict=True):
            self.setup.open_files(slot, files, epoch)
        self._request = {
            "kind": "call",
            "form": self.setup.form,
            "epochs": self.setup.epochs,
            "until": until,
            "metric": self.setup.metric,
            "recycle": self.setup.recycle,
            "space": self.setup.space.as_dict(),
            "log": str(self._files[0].log),
            "environment": self.setup.variables(trials),
            "trials": [trial.as_message() for trial in trials],
        }
        self._process = self._asked_process()

    def _asked_process(self) -> TrialProcess:
        """Return a process that was asked to make the call."""
        process = self.server.take()
        process.send(self._request)
        return process

    def _read(self, message: Message) -> News:
        attrs = _attributes(message["attrs"])
        match message:
            case {"kind": "report", "epoch": epoch, "judged": judged, "failure": failure}:
                self._waits = message.get("waits", True)
                return Reported(epoch, self._by_position(judged), failure, attrs)
            case {"kind": "returned", "judged": judged, "failure": failure, "shown": shown}:
                self._reusable = message["reusable"]
                values = None if judged is None else self._by_position(judged)
                return Returned(values, failure, shown, attrs)
            case {"kind": "pruned", "reason": reason}:
                self._reusable = message["reusable"]
                return PrunedItself(reason, attrs)
            case {"kind": "raised", "reason": reason, "cause": cause, "detail": detail}:
                self._reusable = False
                return Raised(reason, cause, detail, attrs)
        raise AssertionError(f"no message of a trial process: {message}")

    def _by_position(self, forms: Sequence[Mapping[str, Any]]) -> dict[int, Judged]:
        values = map(Judged.from_dict, forms)
        return dict(zip(self._told, values, strict=False))  # none if all are no values

    def _wait_for_end(self, late: float) -> None:
        """Wait until a function that was asked to end has done so; kill it if it has not when it is `late`."""
        assert self._process is not None, "the call has started"  # noqa: S101
        try:
            while (message := self._process.receive(max(0.0, late - time.monotonic()))) is not None:
                if message["kind"] != "report":
                    self._reusable = message["kind"] != "raised" and message["reusable"]
                    return
        except ProcessDied:
            return
        self._process.kill()


def _attributes(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that a trial stores: all that user code has set, and those with names of their own."""
    return {"user_attrs": attrs, **{name: attrs[name] for name in attrs if name not in OWN_ATTRS}} if attrs else {}
