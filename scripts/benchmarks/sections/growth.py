"""How cost grows with trials, hidden units, images, workers and threads, on synthetic images of CIFAR-10's shape."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from benchmarks import campaigns
from benchmarks.findings import Finding, Plan, Row
from benchmarks.measure import Spread, ratio, seconds_per_unit
from benchmarks.processes import Group
from benchmarks.task import Task, epoch_flops, synthetic_arrays

_ROUNDS = 3
_WIDTH = 16
_THREADED = (1, 4, 16)
"""Trials of the stacks that are split over threads."""
_HIDDEN_IMAGES, _CORES_IMAGES, _TRIAL_EPOCHS = 4000, 10_000, 3


def measure_growth(plan: Plan) -> Finding:
    """Measure the five series, one after the other."""
    plan.say("Measuring how cost grows with images, hidden units, trials, workers and threads ...")
    largest = max(plan.growth_images)
    synthetic_arrays(largest).save(plan.folder / "growth")
    task = Task(str(plan.folder / "growth"), largest)
    rows = [*_trained(plan, task), *_through_storage(plan), *_on_cores(plan, task), *_with_threads(plan, task)]
    return Finding("growth", "How cost grows", rows, {"images": "synthetic", "rounds": _ROUNDS})


def _trained(plan: Plan, task: Task) -> Iterator[Row]:
    with _trainer([plan.core], task) as group:
        for images in plan.growth_images:
            group.ask("warm", way={"width": _WIDTH}, images=images)
            yield _row(f"{images:,} images", group, images, task.hidden)
        for hidden in plan.growth_hidden:
            images = min(_HIDDEN_IMAGES, task.images)
            group.ask("warm", way={"width": _WIDTH, "hidden": hidden}, images=images)
            yield _row(f"{hidden} hidden units, {images:,} images", group, images, hidden)


def _trainer(on: list[int], task: Task) -> Group:
    return Group(on, contender="coarsefine", task=task.as_dict(), tuning_images=task.images)


def _row(what: str, group: Group, images: int, hidden: int) -> Row:
    seconds = seconds_per_unit([group.ask("round") for _ in range(_ROUNDS)])
    gflops = epoch_flops(images, hidden) / 1e9 / seconds.median
    return Row(f"{what}: an epoch of a trial", seconds, "s", note=f"{gflops:.0f} GF/s, {_WIDTH} trials at once")


def _through_storage(plan: Plan) -> Iterator[Row]:
    with Group([plan.core], contender="stage", data=None) as group:
        for trials in plan.growth_trials:
            name = f"growth-{trials}"
            text = campaigns.write_digits(plan.folder / f"{name}.toml", trials=trials, epochs=_TRIAL_EPOCHS)
            stage = group.ask("round", campaign=text, storage=str(plan.folder / f"{name}.db"))[0]
            yield _stage_row(trials, stage)


def _stage_row(trials: int, stage: dict[str, Any]) -> Row:
    each = 1000 * (stage["opening"] + stage["seconds"]) / trials
    outside = each - 1000 * stage["training"] / trials
    note = f"digits through storage, {_TRIAL_EPOCHS} epochs; {outside:.1f} ms of it not in training"
    return Row(f"{trials:,} trials: wall clock of a trial", Spread.of([each]), "ms", note=note)


def _on_cores(plan: Plan, task: Task) -> Iterator[Row]:
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < len(plan.cores)] + [len(plan.cores)]
    images = min(_CORES_IMAGES, task.images)
    with ExitStack() as stack:
        groups = {n: stack.enter_context(_trainer(plan.cores[-n:], task)) for n in counts}
        for group in groups.values():
            group.ask("warm", way={"width": _WIDTH}, images=images)
        rounds: dict[int, list[list[dict[str, Any]]]] = {n: [] for n in counts}
        for _ in range(_ROUNDS):
            for n, group in groups.items():
                rounds[n].append(group.ask("round"))
    for n in counts:
        efficiency = ratio(rounds[1], rounds[n]).median
        note = f"{efficiency:.0%} of a single worker's speed on each core, {images:,} images"
        yield Row(
            f"{n} worker{'s' * (n > 1)} at once: an epoch of a trial, each", seconds_per_unit(rounds[n]), "s", note=note
        )


def _with_threads(plan: Plan, task: Task) -> Iterator[Row]:
    """Yield the time of an epoch of a stack by one thread, and by one on each core."""
    images = min(_CORES_IMAGES, task.images)
    settings = {"task": replace(task, images=images).as_dict(), "widths": _THREADED, "epochs": 1}
    everywhere: tuple[int, ...] = tuple(plan.cores)
    with (
        Group([plan.core], contender="widths", threads=1, **settings) as alone,
        Group([everywhere], contender="widths", threads=len(everywhere), **settings) as together,
    ):
        for group in (alone, together):
            group.ask("warm")
        rounds = [(alone.ask("round")[0], together.ask("round")[0]) for _ in range(_ROUNDS)]
    for width in map(str, _THREADED):
        seconds = Spread.of([int(width) * threaded[width] for _, threaded in rounds])
        times = Spread.of([single[width] / threaded[width] for single, threaded in rounds])
        trials = "one trial" if width == "1" else f"{width} trials"
        note = f"{times.median:.2f} times as fast as one thread, {images:,} images"
        yield Row(f"{len(everywhere)} threads, {trials}: an epoch of the stack", seconds, "s", note=note)
