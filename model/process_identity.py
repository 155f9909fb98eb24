"""Which process on which machine: identities that outlast reused process numbers, cloned hosts and set clocks."""

import socket
import uuid
from functools import cache
from pathlib import Path

import psutil


@cache
def machine_id() -> str:
    """Return an identity of the place where process numbers are counted: this start of the kernel, this container.

    A host name is not enough: cloned machines share theirs, and a living process would be taken for a dead one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return f"{socket.gethostname()} {uuid.getnode():x}"


def start_time(pid: int) -> float:
    """Return when a process started: on Linux in clock ticks since the kernel started, which nobody can set.

    With times of day, a living process would seem to be another one after the clock is set. Raises
    `psutil.NoSuchProcess`.
    """
    try:
        return _start_and_state(pid)[0]
    except OSError:  # gone, or not Linux
        return psutil.Process(pid).create_time()


def is_running(pid: int, started: float) -> bool:
    """Return whether the process of this machine that started then still runs; a zombie does not."""
    try:
        began, state = _start_and_state(pid)  # ten times as fast as psutil: each claim asks for each worker
        return abs(began - started) < 1 and state != "Z"
    except OSError:  # gone, or not Linux
        return _is_running_elsewhere(pid, started)


def _start_and_state(pid: int) -> tuple[float, str]:
    """Return when a process of Linux started, in clock ticks, and the letter of its state; raise `OSError`."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return float(fields[19]), fields[0]


def _is_running_elsewhere(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's process: it runs
        return True


def is_stopped(pid: int) -> bool:
    """Return whether a process of this machine was stopped, by SIGSTOP or Ctrl-Z, and not continued."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False
