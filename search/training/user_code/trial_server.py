"""A worker's side of its trial processes: it starts their server, and takes and gives back processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from coarsefine.search.errors import CampaignError, SearchError, UsageError
from coarsefine.search.training.user_code.channel import LOST, VERSION, Channel, Closed, Message
from coarsefine.search.training.user_code.failures import name_of_signal
from coarsefine.search.training.user_code.function import Function
from coarsefine.search.training.user_code.process_tree import kill_group
from coarsefine.search.training.user_code.server import LAST_SECONDS, interpreter, serve_worker

KILLED_FROM_OUTSIDE = {
    -int(getattr(signal, name)) for name in ("SIGKILL", "SIGTERM", "SIGHUP") if hasattr(signal, name)
}
"""Exit codes of processes that somebody else has ended: the kernel for lack of memory, or a batch system."""
_MOST_IDLE = 4
"""The most processes that wait for a call: those of the trials that a rung has ended."""
_EXIT_SECONDS = 2.0
"""How long a process that has closed its end may take to end."""
_CLOSE_SECONDS = 2.0
"""How long idle processes may take to end, with the exit handlers that the user's code has registered."""


class ProcessDied(Exception):  # noqa: N818 - an outcome, named as one
    """A trial process has ended, or does not answer any more."""

    def __init__(self, code: int | None) -> None:
        super().__init__(how_it_ended(code))
        self.code = code
        """Its exit code; minus the number of the signal that killed it; None if it lives and has closed its end."""


class TrialProcess:
    """A trial process, as its worker sees it."""

    def __init__(self, server: "TrialServer", pid: int, channel: Channel) -> None:
        self.pid, self._server, self._channel = pid, server, channel

    def send(self, message: Message) -> None:
        """Send a message; if the process has ended, `receive` says so."""
        with suppress(Closed):
            self._channel.send(message)

    def receive(self, seconds: float) -> Message | None:
        """Return its next message; None if none has come after `seconds`. Raise `ProcessDied` if none will come."""
        try:
            message = self._channel.receive(seconds)
            if message is None and self.exit_code() is not None:  # a child that it forked may hold the other end
                message = self._channel.receive(0)
                if message is None:
                    raise ProcessDied(self.exit_code())
        except Closed as error:
            code = self._server.wait_for_exit(self.pid, _EXIT_SECONDS)
            raise ProcessDied(None if code == LOST else code) from error
        return message

    def exit_code(self) -> int | None:
        """Return its exit code, or minus the number of the signal that killed it; None while it runs."""
        return self._server.wait_for_exit(self.pid, 0)

    def kill(self) -> None:
        """Kill it with all that it started."""
        self._server.kill(self.pid)

    def terminate(self, grace: float) -> None:
        """Ask it and all in its group to end, and have them killed if they still run after `grace` seconds."""
        self._server.terminate(self.pid, grace)

    def give_back(self, *, reusable: bool) -> None:
        """Let another call have it, or let it end."""
        self._server.give_back(self, reusable=reusable)

    def close(self) -> None:
        """Let it end."""
        self._channel.close()


class TrialServer:
    """Starts the server when it is first needed, and again if it dies; `close` ends it with all trial processes."""

    def __init__(self, objective: str | None, folder: Path | None, environment: Mapping[str, str]) -> None:
        """Take the function's name, None for commands; where its campaign's file is; and variables to set."""
        self._objective, self._folder, self._environment = objective, folder, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: list[TrialProcess] = []
        self._living: set[int] = set()
        self._exits: dict[int, int] = {}
        """The exit codes of the processes that have ended."""
        self._function: Function | None = None

    @property
    def function(self) -> Function:
        """Return the function; raise `CampaignError` if it cannot be imported or called."""
        if self._function is None:
            self._start()
        assert self._function is not None, "the server has a function"  # noqa: S101
        return self._function

    def take(self) -> TrialProcess:
        """Return a process that waits for a call."""
        while self._idle:
            process = self._idle.pop()
            if process.exit_code() is None:
                return process
            process.close()
        try:
            return self._new_process()
        except Closed:  # the server was killed
            self._lose()
            return self._new_process()

    def give_back(self, process: TrialProcess, *, reusable: bool) -> None:
        """Keep a process for another call, or let it end."""
        if reusable and process.pid in self._living and len(self._idle) < _MOST_IDLE:
            self._idle.append(process)
            return
        process.close()
        self._send({"kind": "end", "pid": process.pid})

    def kill(self, pid: int) -> None:
        """Kill a process and its group."""
        self._send({"kind": "kill", "pid": pid})

    def terminate(self, pid: int, grace: float) -> None:
        """Ask a process and its group to end, and kill them after `grace` seconds."""
        self._send({"kind": "terminate", "pid": pid, "grace": grace})

    def wait_for_exit(self, pid: int, seconds: float) -> int | None:
        """Return how a process has ended, as `TrialProcess.exit_code`; None if it runs on for so many seconds."""
        try:
            while pid in self._living and (message := self._channel.receive(seconds)) is not None:
                self._note(message)
        except Closed:
            self._lose()
        return self._exits.get(pid)

    def close(self) -> None:
        """End all processes; a later call starts the server again."""
        if self._process is None:
            return
        for process in self._idle:
            process.close()
        self._idle.clear()
        with suppress(Closed):
            self._channel.send({"kind": "close", "grace": _CLOSE_SECONDS})
        self._lose()

    def _start(self) -> None:
        if not hasattr(socket, "send_fds"):  # nor are there process groups
            raise UsageError("Training code of your own needs Linux or macOS: start the campaign there, or in WSL.")
        ours, theirs = socket.socketpair()
        command = interpreter(serve_worker.__name__, theirs.fileno(), os.getpid())
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this program
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=_standard_error(),
                stderr=_standard_error(),
                env=os.environ | self._environment,
                start_new_session=True,
            )
        self._channel = Channel(ours)
        folder = None if self._folder is None else str(self._folder)
        try:
            load = {"kind": "load", "version": VERSION, "objective": self._objective, "folder": folder}
            self._channel.send({**load, "main": _main_module()})
            answer = self._channel.receive()
        except Closed as error:
            code = self._lose()
            raise CampaignError(
                f"objective = '{self._objective}' cannot be imported: the process that imports it "
                f"{how_it_ended(code)}. Fix the module."
            ) from error
        except BaseException:
            self._lose()
            raise
        assert answer is not None, "it waits for as long as it takes"  # noqa: S101
        if answer["kind"] == "refused":
            self._lose()
            raise CampaignError(answer["reason"])
        if answer["function"] is not None:
            self._function = Function.from_message(answer["function"])

    def _new_process(self) -> TrialProcess:
        if self._process is None:
            self._start()
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._channel.socket, [b'{"kind":"start"}\n'], [theirs.fileno()])
        while (answer := self._channel.receive()) is not None and answer["kind"] == "exit":
            self._note(answer)
        assert answer is not None, "it waits for as long as it takes"  # noqa: S101
        if answer["kind"] != "started":
            ours.close()
            raise SearchError(
                f"No process can be started for a trial: {answer['reason']}. Free memory, then run again."
            )
        self._living.add(answer["pid"])
        self._exits.pop(answer["pid"], None)
        return TrialProcess(self, answer["pid"], Channel(ours))

    def _send(self, message: Message) -> None:
        """Send a message about a process, unless it has ended."""
        if message["pid"] not in self._living:
            return
        try:
            self._channel.send(message)
        except Closed:
            self._lose()

    def _note(self, message: Message) -> None:
        self._living.discard(message["pid"])
        self._exits[message["pid"]] = message["code"]

    def _lose(self) -> int | None:
        """Forget the server, which ends or has ended, and kill what it may have left; return its exit code."""
        self._channel.close()
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            code = process.wait(_CLOSE_SECONDS + LAST_SECONDS + _EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            code = process.wait()
        if code:  # it did not end in order
            for pid in self._living:
                kill_group(pid)
        self._exits |= dict.fromkeys(self._living, -int(signal.SIGKILL))
        self._living.clear()
        self._idle.clear()
        return code


def how_it_ended(code: int | None) -> str:
    """Return the exit code of a process as the end of a sentence about it."""
    if code is None:
        return "closed the connection to its worker: your code may close only the files that it has opened"
    return f"was killed by {name_of_signal(-code)}" if code < 0 else f"ended with exit code {code}"


def _main_module() -> Message:
    """Return which script or module this Python runs, as `multiprocessing.spawn.prepare` takes it, or nothing."""
    main = sys.modules["__main__"]
    if (name := getattr(getattr(main, "__spec__", None), "name", None)) is not None:
        return {"init_main_from_name": name}
    path = getattr(main, "__file__", None)
    return {} if path is None else {"init_main_from_path": str(Path(path).absolute())}


def _standard_error() -> int:
    """Return where the module may print while it is imported: standard error, if that is open."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2
