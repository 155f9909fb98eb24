"""Measure the private memory of a worker process on the images of `paper`."""

import subprocess
import time
from pathlib import Path
from statistics import median

import psutil

from benchmarks import campaigns
from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.measure import Spread
from benchmarks.processes import start

_EVERY = 0.05
_WORKERS = 2
_MEGABYTE = 1e6


def measure_memory(plan: Plan) -> Finding:
    """Run `coarsefine run` with two workers, and read the private memory of the larger one until they end.

    This works on Linux only: other systems do not distinguish shared pages from private ones.
    """
    plan.say("Measuring the private memory of worker processes ...")
    text = campaigns.write_paper_shaped(
        plan.folder / "memory.toml", images=plan.images, trials=2 * plan.stage_trials, epochs=plan.stage_epochs
    )
    storage = ["--storage", str(plan.folder / "memory.db")]
    run = ["coarsefine", "run", text, "--workers", str(_WORKERS), "--data", str(plan.source), *storage]
    process = start(run, plan.core, cwd=plan.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return _report(plan, _readings(process))
    finally:
        _end(process)


def _readings(process: subprocess.Popen[str]) -> list[float]:
    """Return the private megabytes of the larger worker, sampled while all workers live."""
    readings = []
    while process.poll() is None:
        sizes = _private_of_workers(process.pid)
        if len(sizes) == _WORKERS:
            readings.append(max(sizes) / _MEGABYTE)
        time.sleep(_EVERY)
    return readings


def _private_of_workers(pid: int) -> list[int]:
    """Return the private dirty bytes of each worker of a run.

    Clean pages of the image file belong to the page cache, even if only one worker has read them so far.
    """
    try:
        workers = [worker for helper in psutil.Process(pid).children() for worker in helper.children()]
        return [_private(worker.pid) for worker in workers]
    except (psutil.Error, OSError, ValueError):  # a worker ended between two samples
        return []


def _private(pid: int) -> int:
    """Return the private dirty bytes of a process; the kernel sums them up much faster than we could."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith("Private_Dirty:")]
    return 1024 * int(kilobytes)


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
