"""Run programs in processes of their own, and return what each one cost."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a process cost."""

    seconds: float
    """From its start to its end."""
    processor: float
    """Seconds of processor time."""
    megabytes: float
    """The most memory it held."""


def cost_of(arguments: Sequence[str], folder: Path) -> Cost:
    """Run `python ARGUMENTS` in a folder and return its cost; raise `ChildProcessError` with its output if it fails."""
    with (folder / "output").open("w+b") as output:
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)  # as `process.wait`, but with the cost
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            told = output.read().decode("utf-8", "replace")
            raise ChildProcessError(f"{' '.join(arguments)} ended with {process.returncode}: {told[-2000:]}")
    unit = 1024**2 if sys.platform == "darwin" else 1024  # of ru_maxrss in a megabyte
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)
