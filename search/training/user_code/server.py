"""The server of a worker's trial processes: it imports the user's module once, and forks a process when asked for one.

It runs in a process and a session of its own and does nothing else, so that a fork is cheap and safe. It has the trial
processes as its children: it says how each one ended, kills what an ended one leaves behind, and ends with its worker.
Where the module has started threads, which a forked process would not have, each trial process is a new interpreter.
"""

import gc
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from coarsefine.search.errors import CampaignError
from coarsefine.search.training.user_code.channel import VERSION, Channel, Closed, DescriptorChannel, Message
from coarsefine.search.training.user_code.failures import describe, description_of
from coarsefine.search.training.user_code.function import Function, load_function
from coarsefine.search.training.user_code.process_tree import (
    CAN_FORK,
    adopt_orphans,
    children,
    count_threads,
    die_with,
    group_exists,
    group_of,
    kill_group,
    outlive_parent,
    terminate_group,
)
from coarsefine.search.training.user_code.trial_process import flush_streams, preload, serve_calls

_GRACE_SECONDS = 10.0
"""How long a trial process may take to end after its last call, before it is killed."""
_LOOK_SECONDS = 0.02
"""Seconds between looks whether a group has ended that was asked to."""
LAST_SECONDS = 5.0
"""How long the server waits, after their grace, for its children to be gone before it ends itself."""
_PROGRAM = "import sys; sys.path[:] = {path!r}; from {module} import {function}; {function}{arguments!r}"


def interpreter(function: str, *arguments: object) -> list[str]:
    """Return the command of a new Python that imports from this one's path, and calls a function of this module."""
    program = _PROGRAM.format(path=sys.path, module=__name__, function=function, arguments=arguments)
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - as `multiprocessing` does
    return [sys.executable, *options, "-P", "-c", program]


def serve_worker(descriptor: int, worker: int) -> None:
    """Serve the worker at the other end of a socket: import the user's module, then start processes, until it ends."""
    _begin(worker)
    channel = DescriptorChannel(socket.socket(fileno=descriptor))
    with suppress(Closed):
        request = channel.receive() or {}
        call: Callable[..., Any] | None = None
        answer: Message = {"kind": "loaded", "version": VERSION, "function": None}
        if request["objective"] is not None:
            try:
                function, call = _load(request)
            except CampaignError as error:
                channel.send({"kind": "refused", "reason": str(error)})
                return
            answer["function"] = function.as_message()
            preload(function.form)
        gc.collect()
        gc.freeze()  # objects that no process collects stay in the memory that all share
        _Server(channel, request, call, answer).serve()


def serve_alone(descriptor: int, server: int, request: Message) -> None:
    """Be a trial process in a new interpreter: import the user's module, and make the worker's calls."""
    _begin(server)
    channel, call = Channel(socket.socket(fileno=descriptor)), None
    if request["objective"] is not None:
        try:
            _, call = _load(request)
        except CampaignError as error:
            with suppress(Closed):
                channel.receive()
                found = description_of(error)
                reason = str(error).removesuffix(".")
                channel.send(
                    {"kind": "raised", "reason": reason, "cause": found.cause, "detail": found.detail, "attrs": {}}
                )
            return
    serve_calls(channel, call)


def _begin(parent: int) -> None:
    """Make this new process independent of the signals of its parent, and dependent on its life."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
    die_with(parent)
    adopt_orphans()


def _load(request: Message) -> tuple[Function, Callable[..., Any]]:
    """Import the function that the worker names; a script's own, as the processes of `multiprocessing` do."""
    if request["objective"].startswith("__main__:"):
        from multiprocessing import spawn  # noqa: PLC0415 - needed for such a function only

        try:
            spawn.prepare(request["main"])
        except (Exception, SystemExit) as error:
            raise CampaignError(
                f"objective = '{request['objective']}' cannot be imported: {describe(error)}. Put what the script does "
                'below `if __name__ == "__main__":`.'
            ) from error
    try:
        return load_function(request["objective"], None if request["folder"] is None else Path(request["folder"]))
    finally:
        flush_streams()  # or each forked process would print it again


class _Server:
    """The trial processes of a worker."""

    def __init__(
        self, channel: DescriptorChannel, request: Message, call: Callable[..., Any] | None, loaded: Message
    ) -> None:
        self._channel, self._request, self._call, self._loaded = channel, request, call, loaded
        self._own = children()
        """The children that the user's module has started when it was imported."""
        self._deadlines: dict[int, float] = {}
        """When each of the trial processes is killed, by number."""
        self._asked: dict[int, int | None] = {}
        """Processes that were asked to end, each with its exit code if it has, but not its whole group."""
        self._forks = CAN_FORK and count_threads() == 1
        self._woken, self._waker = os.pipe()
        for descriptor in (self._woken, self._waker):
            os.set_blocking(descriptor, False)
        self._handler = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Do what the worker asks for until it closes its end; then end all trial processes."""
        outlive_parent()  # to end what would outlive both; until here, the user's module could keep it from noticing
        grace = 0.0
        with suppress(Closed):
            self._channel.send(self._loaded)
            while (request := self._next()) is not None:
                if request["kind"] == "close":
                    grace = request["grace"]
                    break
                self._do(request)
        self._end_all(grace)

    def _next(self) -> Message | None:
        """Return the worker's next message; meanwhile, reap processes that end, and kill those that are late."""
        while not self._channel.has_message:
            ready = self._wait([self._channel.socket])
            if ready:
                break
        return self._channel.receive()

    def _wait(self, sockets: Sequence[socket.socket], most: float = math.inf) -> bool:
        """Wait until a socket is ready, a process has ended, or one is to be killed; return whether a socket is."""
        watched: list[Any] = list(sockets)
        look = time.monotonic() + _LOOK_SECONDS if any(code is not None for code in self._asked.values()) else math.inf
        left = min(most, look, *self._deadlines.values()) - time.monotonic()
        ready, *_ = select.select([*watched, self._woken], [], [], None if left == math.inf else max(0.0, left))
        if self._woken in ready:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)
        if self._woken in ready or look < math.inf:
            self._reap()
        for pid in [pid for pid, deadline in self._deadlines.items() if deadline <= time.monotonic()]:
            kill_group(pid, reaped=self._asked.get(pid) is not None)
            self._deadlines[pid] = math.inf
        return any(one in ready for one in sockets)

    def _do(self, request: Message) -> None:
        match request:
            case {"kind": "start"}:
                self._start(self._channel.descriptors.pop(0))
            case {"kind": "end", "pid": pid} if pid in self._deadlines:
                self._deadlines[pid] = time.monotonic() + _GRACE_SECONDS
            case {"kind": "terminate", "pid": pid, "grace": grace} if pid in self._deadlines:
                self._deadlines[pid], self._asked[pid] = time.monotonic() + grace, None
                terminate_group(pid)
            case {"kind": "kill", "pid": pid} if pid in self._deadlines:
                kill_group(pid)

    def _start(self, descriptor: int) -> None:
        try:
            pid = self._fork(descriptor) if self._forks else self._spawn(descriptor)
        except OSError as error:
            self._channel.send({"kind": "not started", "reason": str(error)})
        else:
            self._deadlines[pid] = math.inf
            self._channel.send({"kind": "started", "pid": pid})
        finally:
            os.close(descriptor)

    def _fork(self, descriptor: int) -> int:
        server = os.getpid()
        if pid := os.fork():
            return pid
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, self._handler)
            for other in (self._woken, self._waker):
                os.close(other)
            self._channel.close()
            _begin(server)
            serve_calls(Channel(socket.socket(fileno=descriptor)), self._call)
        except BaseException:  # noqa: BLE001 - nothing of the server may run on in this process
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _spawn(self, descriptor: int) -> int:
        command = interpreter(serve_alone.__name__, descriptor, os.getpid(), self._request)
        process = subprocess.Popen(command, pass_fds=[descriptor], start_new_session=True)  # noqa: S603 - this program
        process.returncode = 0  # it is reaped here, not by this object
        return process.pid

    def _reap(self) -> None:
        """Say how trial processes ended, and kill what they left behind."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, code = found[0], os.waitstatus_to_exitcode(found[1])
                if pid in self._asked:
                    self._asked[pid] = code
                elif pid in self._deadlines:
                    self._finish(pid, code)
        for pid, last in [*self._asked.items()]:
            if last is not None and not group_exists(pid):
                self._finish(pid, last)
        for orphan in self._orphans():  # each one that dies has this server look again
            kill_group(orphan)

    def _finish(self, pid: int, code: int) -> None:
        kill_group(pid, reaped=True)
        del self._deadlines[pid]
        self._asked.pop(pid, None)
        with suppress(Closed):
            self._channel.send({"kind": "exit", "pid": pid, "code": code})

    def _orphans(self) -> set[int]:
        """Return what ended processes left behind, without the groups that were asked to end and still have time."""
        return {pid for pid in children() - self._deadlines.keys() - self._own if group_of(pid) not in self._asked}

    def _end_all(self, grace: float) -> NoReturn:
        late = time.monotonic() + grace
        self._deadlines = dict.fromkeys(self._deadlines, late)
        while (self._deadlines or self._orphans()) and time.monotonic() < late + LAST_SECONDS:
            self._wait([], late + LAST_SECONDS)
        os._exit(0)
