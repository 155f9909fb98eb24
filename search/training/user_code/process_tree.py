"""What the operating system does for the processes of user code: it kills them as groups, and none outlives its parent.

Linux does more than other systems: there, what has left its group is found, too, and a kill of the parent is enough.
"""

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_TASKS = Path("/proc/self/task")
CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"
"""Whether a process that has imported the user's module may be forked; the libraries of macOS do not survive it."""


def die_with(parent: int) -> None:
    """Have this process killed when its parent dies, if the system can; end it if the parent has died already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undo `die_with`, in a process that notices the death of its parent and has something to do then."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> None:
    """Make processes whose parents died children of this one, if they descend from it and the system can."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> set[int]:
    """Return the children of this process, if the system lists them."""
    found: set[int] = set()
    with suppress(OSError):
        for task in os.listdir(_TASKS):  # noqa: PTH208 - called after each trial, and faster
            with suppress(OSError), open(f"{_TASKS}/{task}/children", "rb") as file:  # noqa: PTH123 - as above
                found.update(map(int, file.read().split()))
    return found


def count_threads() -> int:
    """Return the number of threads of this process, those of libraries included if the system lists them."""
    try:
        return len(os.listdir(_TASKS))  # noqa: PTH208 - as above
    except OSError:
        return threading.active_count()


def memory() -> int:
    """Return the bytes of memory that this process has to itself; 0 if the system does not say."""
    with suppress(OSError), open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - called after each trial
        _, resident, shared, *_ = file.read().split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return 0


def kill_group(leader: int, *, reaped: bool = False) -> None:
    """Kill a process and its process group, of which it is the first; only the others if it is `reaped`."""
    for kill in (os.killpg,) if reaped else (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(leader, signal.SIGKILL)


def group_exists(leader: int) -> bool:
    """Return whether a process group still has processes."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def group_of(pid: int) -> int:
    """Return the group of a process; 0 if it has ended."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def terminate_group(leader: int) -> None:
    """Ask a process and its group to end, even if they are suspended."""
    for kind in ("SIGTERM", "SIGCONT"):
        with suppress(ProcessLookupError, PermissionError, AttributeError):
            os.killpg(leader, getattr(signal, kind))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
