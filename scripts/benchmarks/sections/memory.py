"""What a further worker process costs in memory of its own, on the images of `paper`."""

import subprocess
import time
from statistics import median

import psutil

from benchmarks import campaigns
from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.measure import Spread
from benchmarks.processes import start
from benchmarks.sections.campaign import recorded_epochs

_EVERY = 0.05
_MEGABYTE = 1e6


def measure_memory(plan: Plan) -> Finding:
    """Start a worker; when it has recorded an epoch, start a further one, and read its private memory to its end.

    The first keeps running meanwhile, so that pages which both use are shared, and are nobody's own.
    """
    plan.say("Measuring the private memory of a further worker ...")
    storage = plan.folder / "memory.db"
    text = campaigns.write_paper_shaped(
        plan.folder / "memory.toml", images=plan.images, trials=4 * plan.stage_trials, epochs=plan.stage_epochs
    )
    arguments = ["benchmarks.walk", text, str(storage), str(plan.source)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = start(arguments, plan.cores[0], **quiet)
    try:
        while first.poll() is None and recorded_epochs(storage) < 1:
            time.sleep(_EVERY)
        further = start(arguments, plan.cores[-1], **quiet)
        try:
            readings = _readings(further, first)
        finally:
            _end(further)
    finally:
        _end(first)
    return _report(plan, readings)


def _readings(process: subprocess.Popen[str], other: subprocess.Popen[str]) -> list[float]:
    """Return a process's private megabytes, read again and again while both are alive."""
    readings = []
    while process.poll() is None and other.poll() is None:
        readings.append(_private(process.pid) / _MEGABYTE)
        time.sleep(_EVERY)
    return [reading for reading in readings if reading]


def _private(pid: int) -> int:
    """Return the private bytes of a process, or of the largest of those it started."""
    try:
        process = psutil.Process(pid)
        return max(one.memory_full_info().uss for one in (process, *process.children(recursive=True)))
    except psutil.Error:  # it ended between two looks
        return 0


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait()


def _report(plan: Plan, readings: list[float]) -> Finding:
    images = f"{campaigns.paper_images(plan.images):,} images"
    highest = Spread.of([max(readings)]) if readings else None
    typical = Spread.of([median(readings)]) if readings else None
    note = images if readings else "the workers ended before they could be looked at"
    rows = [
        Row("private memory of a further worker, at most", highest, "MB", target=Target(150.0, "at most"), note=note),
        Row("… its median over the worker's life", typical, "MB", note=f"{len(readings)} readings"),
    ]
    return Finding("memory", "Memory of a further worker", rows, {"megabytes": readings})
