"""Run programs in processes of their own, and return what each one cost."""

import json
import subprocess
import sys
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


_LAUNCHER = """
import json, resource, subprocess, sys, time

began = time.monotonic()
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss], file)
sys.exit(code)
"""
"""A small program that starts the measured one: a process's most memory is at first that of the process it is from."""


def cost_of(arguments: Sequence[str], folder: Path) -> Cost:
    """Run `python ARGUMENTS` in a folder and return its cost; raise `ChildProcessError` with its output if it fails."""
    cost = folder / "cost.json"
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(cost), sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stdout + done.stderr)[-2000:]
        raise ChildProcessError(f"{' '.join(arguments)} ended with {done.returncode}: {output}")
    seconds, processor, most = json.loads(cost.read_text("utf-8"))
    unit = 1024**2 if sys.platform == "darwin" else 1024  # of ru_maxrss in a megabyte
    return Cost(seconds, processor, most / unit)
