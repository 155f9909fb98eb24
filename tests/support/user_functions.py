"""Training functions as users write them, good and bad; the tests name them as `user_functions:NAME`."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from coarsefine import TrialEnded, batched

EPOCHS = 6


def value_after(point, seed, epoch):
    return 1 - abs(point["a"] - 0.1) - 0.3 / epoch + (seed % 97) / 1e4


def single(point, seed, report):
    for epoch in range(1, EPOCHS + 1):
        value = value_after(point, seed, epoch)
        report(value)
    return value


def returns_alone(point, seed, report):
    return value_after(point, seed, 1)


@batched
def several(points, seeds, report):
    going = range(len(points))
    for epoch in range(1, EPOCHS + 1):
        going = report([value_after(points[i], seeds[i], epoch) for i in going])


def mirrored(point, seed, report):
    return -single(point, seed, lambda value: report(-value))


@batched
def several_mirrored(points, seeds, report):
    several(points, seeds, lambda values: report([-value for value in values]))


def at_once(point, seed, report):
    return -1000 * point["a"] - seed % 97 / 10


def loss(point, seed, report):
    return -at_once(point, seed, report)


@batched
def several_losses(points, seeds, report):
    several(points, seeds, lambda values: report([1.5 - value for value in values]))


def partly_infinite(point, seed, report):
    return float("-inf") if seed % 2 else loss(point, seed, report)


def tidying(point, seed, report):
    try:
        single(point, seed, report)
    except TrialEnded:
        (report.folder / "ended").touch()
        raise


def resumes(point, seed, report):
    state = report.folder / "state.json"
    done, value = json.loads(state.read_text("utf-8")) if state.exists() else (0, None)
    if done:
        report(value, epoch=done)
    for epoch in range(done + 1, report.epochs + 1):
        value = value_after(point, seed, epoch)
        new = state.with_suffix(".new")
        new.write_text(json.dumps([epoch, value]), "utf-8")
        new.replace(state)
        print(f"epoch {epoch}")
        report(value, epoch=epoch)
    return value


def differs_later(point, seed, report):
    for epoch in range(1, EPOCHS + 1):
        report(0.0 if report.epoch and epoch == 1 else value_after(point, seed, epoch))


KILLS = [(1, "trained"), (2, "saved"), (3, "trained"), (5, "saved")]
"""The moments at which each trial is killed once: an epoch, and what has been done in it."""


def dies_and_resumes(point, seed, report):
    """Train with NumPy, save weights in the trial's folder, and have a process killed at many moments."""
    file = report.folder / "weights.npz"

    def reached(moment):
        mark = report.folder / f"killed in epoch {done}"
        if (done, moment) in KILLS and not mark.exists() and os.environ["COARSEFINE_STAGE"] == "coarse":
            mark.touch()
            kill(("process", "server", "worker")[(report.number + done) % 3])

    if file.exists():
        with np.load(file) as saved:
            done, weights = int(saved["epoch"]), saved["weights"]
        report(value_after(point, seed, done) + 0 * weights.sum(), epoch=done)
    else:
        done, weights = 0, np.random.default_rng(seed).normal(size=50)
    while done < report.epochs:
        weights, done = 0.9 * weights, done + 1
        reached("trained")
        np.savez(report.folder / "new.npz", epoch=done, weights=weights)
        (report.folder / "new.npz").replace(file)
        reached("saved")
        report(value_after(point, seed, done) + 0 * weights.sum(), epoch=done)


def kill(victim):
    """Kill this process, its server, or their worker."""
    server = os.getppid()
    worker = int(Path(f"/proc/{server}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    os.kill({"process": os.getpid(), "server": server, "worker": worker}[victim], signal.SIGKILL)
    time.sleep(600)


def slow(point, seed, report):
    for epoch in range(1, EPOCHS + 1):
        time.sleep(0.02)
        report(value_after(point, seed, epoch))


def fails_for_some(point, seed, report):
    if seed % 3 == 0:
        raise ValueError(f"seed {seed} is a multiple of three")
    return single(point, seed, report)


def raises(point, seed, report):
    raise ValueError("no such kernel:\n  linaer")


def asks_for_another_parameter(point, seed, report):
    report(point["a"] * point["gamma"])


def asks_for_a_variable(point, seed, report):
    report(point["a"] * float(os.environ["NO_SUCH_VARIABLE"]))


def raises_after_its_last_epoch(point, seed, report):
    single(point, seed, report)
    raise OSError("cannot save")


def exits(point, seed, report):
    sys.exit(3)


def reports_too_often(point, seed, report):
    for _ in range(EPOCHS + 1):
        report(0.5)


def returns_too_early(point, seed, report):
    report(0.5)


def returns_another_value(point, seed, report):
    return 2 * single(point, seed, report)


def returns_nothing(point, seed, report):
    for _ in range(EPOCHS - 1):
        report(0.5)


def reports_text(point, seed, report):
    report("0.5")


def reports_nan(point, seed, report):
    report(0.5)
    report(float("nan"))


def never_returns(point, seed, report):
    (report.folder / "started").touch()
    while True:
        pass


@batched
def asks_each_for_another_parameter(points, seeds, report):
    report([points[0]["gamma"] for _ in points])


@batched
def reports_too_few(points, seeds, report):
    report([0.5])


@batched
def reports_no_list(points, seeds, report):
    report(0.5)


@batched
def reports_a_dict(points, seeds, report):
    report(dict.fromkeys(range(len(points)), 0.5))


@batched
def some_diverge(points, seeds, report):
    going = range(len(points))
    for epoch in range(1, EPOCHS + 1):
        values = [value_after(points[i], seeds[i], epoch) for i in going]
        going = report([float("inf") if epoch == 3 and i % 2 else v for i, v in zip(going, values, strict=True)])


def takes_no_report(point, seed):
    return 0.5


number = 3


def talks(point, seed, report):
    """Print, report a further metric, and fail for some seeds."""
    for epoch in range(1, EPOCHS + 1):
        print(f"epoch {epoch} at <b>{point['shape']}</b>", flush=True)
        report({"value": value_after(point, seed, epoch), "f1": epoch / 10})
    if seed % 3 == 0:
        raise OSError("cannot save to postgresql://me:secret@host/db")


def as_asked(point, seed, report):
    """Report as many epochs as the stage asks for, and keep a file."""
    for epoch in range(1, report.epochs + 1):
        report(value_after(point, seed, epoch), f1=epoch / 10)
    (report.folder / "model").write_text(f"{point['a']} {seed} {report.epochs}", "utf-8")
