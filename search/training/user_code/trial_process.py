"""A trial process: it calls a user's function for one trial after another, as its worker asks for them.

The function runs in the main thread. Standard output and standard error go to the trial's log. After a call, what can
be put back is put back: the working directory, the environment, the standard streams. If anything else is left behind,
child processes for example, the process is not used again.
"""

import atexit
import faulthandler
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from coarsefine.search.campaign.space import Space
from coarsefine.search.errors import TrialEnded
from coarsefine.search.training.user_code.channel import LOST, Channel, Closed, Message
from coarsefine.search.training.user_code.failures import description_of, message_of, shown
from coarsefine.search.training.user_code.function import Form
from coarsefine.search.training.user_code.process_tree import children, memory
from coarsefine.search.training.user_code.report import BatchReport, Planned, Report, Reporter, stepper

_MOST_GROWTH = 256 * 2**20
"""Bytes by which the memory of a process may grow after its first call, before it is replaced."""
_THREADS = "OMP_NUM_THREADS"
"""The environment variable with the number of threads."""
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


def serve_calls(channel: Channel, function: Callable[..., Any] | None) -> NoReturn:
    """Make the calls that the worker asks for, until it closes its end; then end this process."""
    atexit._clear()  # noqa: SLF001 - what was registered before the fork is not this process's to do
    state = _State()
    while True:
        try:
            request = channel.receive()
        except Closed:
            break
        if request is not None and request["kind"] == "call":  # no answer that came after the end of the last call
            _send_end(channel, _answer(channel, request, function, state))
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001 - as the processes of `multiprocessing` do
    _leave(0)


def _send_end(channel: Channel, message: Message) -> None:
    try:
        channel.send(message)
    except Closed:
        _leave(LOST)


def preload(form: Form) -> None:
    """Import what calls of a form need, before processes are forked."""
    if form == "optuna":
        import coarsefine.search.training.user_code.optuna_trial  # noqa: F401, PLC0415 - of Optuna's objectives only


class _State:
    """What a process is like between its calls."""

    def __init__(self) -> None:
        self.home, self.environment = "", dict(os.environ)
        with suppress(OSError):  # it has been removed
            self.home = os.getcwd()  # noqa: PTH109 - quick
        self.handlers = [signal.getsignal(kind) for kind in _SIGNALS]
        self.threads = self.environment.get(_THREADS, "")
        self.calls, self.usual_memory = 0, 0

    def go_home(self) -> None:
        """Return to the working directory; raise `OSError` if it is gone."""
        os.chdir(self.home or os.getcwd())  # noqa: PTH109 - which says that it is gone

    def restore(self, environment: Mapping[str, str], log: str) -> None:
        """Put back what the last call changed, and send what is printed to a log; raise `OSError` if it cannot be."""
        wanted = {**self.environment, **environment}
        if dict(os.environ) != wanted:
            os.environ.clear()
            os.environ.update(wanted)
        if (threads := wanted.get(_THREADS, "")) != self.threads:
            _limit_threads(int(threads))
            self.threads = threads
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        for stream in (1, 2):
            if file != stream:
                os.dup2(file, stream)
        if file > 2:  # noqa: PLR2004 - else it is a standard stream, which the last call had closed
            os.close(file)
        for name, stream in (("stdout", 1), ("stderr", 2)):
            opened = open(stream, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115 - stays open
            setattr(sys, name, opened)
            setattr(sys, f"__{name}__", opened)
        faulthandler.enable(2)

    def is_reusable(self, recycle: int | None) -> bool:
        """Return whether another call finds this process as the last one did."""
        self.calls += 1
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        threads = [thread for thread in threading.enumerate() if not thread.daemon]
        if children() or len(threads) > 1 or [signal.getsignal(kind) for kind in _SIGNALS] != self.handlers:
            return False
        if recycle is not None:
            return self.calls < recycle
        self.usual_memory = self.usual_memory or memory()
        return memory() <= self.usual_memory + _MOST_GROWTH


def _answer(channel: Channel, request: Message, function: Callable[..., Any] | None, state: _State) -> Message:
    """Make a call; return the message of its end."""
    if request["form"] == "command":
        import_module(f"{__package__}.command_process").run(request, state.restore)
    assert function is not None, "the process was started for a function"  # noqa: S101
    own, trials = os.getpid(), [Planned.from_message(form) for form in request["trials"]]
    reporter = Reporter(
        channel,
        trials,
        request["metric"],
        batched=request["form"] == "batched",
        epochs=request["epochs"],
        until=request.get("until", 0),
    )
    try:
        try:
            state.go_home()
            state.restore(request["environment"], request["log"])
        except BaseException:
            if state.calls:  # an earlier trial has left something behind, such as a limit on open files
                return {"kind": "unfit"}
            raise
        seed_generators(trials[0].seed)
        answer = _returned(
            invoke(request["form"], function, reporter, Space.from_dict(request["space"])), reporter, request["epochs"]
        )
    except BaseException as error:  # noqa: BLE001 - any error fails the trial, and nothing else
        if os.getpid() != own:  # a child that the function has forked came back from it
            _leave(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1)
        answer = _raised(error, reporter)
    if os.getpid() != own:
        _leave(0)
    flush_streams()
    reusable = reporter.close() and answer["kind"] != "raised" and state.is_reusable(request["recycle"])
    return answer | {"attrs": reporter.attrs, "reusable": reusable}


def invoke(form: Form, function: Callable[..., Any], reporter: Reporter, space: Space) -> Any:
    """Call the function; return what it returns. `space` has the ranges that the campaign gives the stage."""
    if form == "optuna":
        from coarsefine.search.training.user_code.optuna_trial import (  # noqa: PLC0415 - of Optuna's objectives only
            UserTrial,
            call_objective,
        )

        (planned,) = reporter.trials
        trial = UserTrial(**planned.as_dict(), report=stepper(reporter))
        trial.ranges, trial.epochs, reporter.attrs = space, reporter.epochs, trial.stored
        return call_objective(function, trial)
    points, seeds = [dict(trial.point) for trial in reporter.trials], [trial.seed for trial in reporter.trials]
    if form == "batched":
        return function(points, seeds, BatchReport(reporter))
    return function(points[0], seeds[0], Report(reporter))


def _returned(value: Any, reporter: Reporter, epochs: int) -> Message:
    """Return the message of what a function returned: None counts only if it reported its last epoch."""
    if not reporter.going:  # it was asked to end
        return {"kind": "ended"}
    if value is None and reporter.count >= epochs:
        return {"kind": "returned", "judged": None, "failure": None, "shown": ""}
    judged = reporter.judged(value, min(reporter.count + 1, epochs))
    return {"kind": "returned", **judged, "shown": shown(value)}


def _raised(error: BaseException, reporter: Reporter) -> Message:
    """Return the message of what a function raised."""
    prunes = isinstance(error, getattr(sys.modules.get("optuna"), "TrialPruned", ()))
    if not reporter.going and (prunes or isinstance(error, TrialEnded)):
        return {"kind": "ended"}
    if prunes:
        when = f"after epoch {reporter.count}" if reporter.count else "before its first report"
        return {"kind": "pruned", "reason": ": ".join(filter(None, (f"pruned itself {when}", message_of(error))))}
    found = description_of(error, dict(reporter.trials[0].point))
    with suppress(BaseException):  # the function may have closed the stream
        os.write(2, f"{found.detail}\n".encode())
    return {"kind": "raised", "reason": found.reason, "cause": found.cause, "detail": found.detail}


def _limit_threads(threads: int) -> None:
    """Have libraries that are loaded already use so many threads.

    They were loaded in the server, with one thread: a fork would not have the others.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - needed where a campaign sets `threads` only

    threadpool_limits(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def seed_generators(seed: int) -> None:
    """Start the global generators from the trial's seed, for functions that use them: a trial repeats its values."""
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def flush_streams() -> None:
    """Write what the function has printed, unless it has closed or replaced the streams."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _leave(code: int) -> NoReturn:
    flush_streams()
    os._exit(code)
