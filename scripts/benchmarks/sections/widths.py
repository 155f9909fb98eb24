"""The speed of training by the number of trials at once, with each kernel, on the paper's images and on digits."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.kernels import AVX2, AVX512, title
from benchmarks.measure import Answers, Spread, best_peak, in_turn
from benchmarks.processes import Group
from benchmarks.task import Task, digits_task, paper_task

_JUDGED = 16
"""The number of trials whose share of the peak has a target."""
_SHARES = {AVX512: 0.88, AVX2: 0.85}
_PAPER, _DIGITS = "the paper's images", "digits"
Rounds = Mapping[tuple[str, str], list[Answers]]


def measure_widths(plan: Plan) -> Finding:
    """Time epochs of all widths, kernels and images in turn, with the core's peak in each round."""
    tasks = {_PAPER: paper_task(plan.folder, plan.source, plan.images), _DIGITS: digits_task(plan.folder)}
    epochs = {_PAPER: 1, _DIGITS: plan.digits_rounds}
    plan.say(f"Timing stacks of {', '.join(map(str, plan.widths))} trials, {plan.repetitions} rounds in turn ...")
    with ExitStack() as stack:
        groups = {("peak", ""): stack.enter_context(Group([plan.core], contender="peak", size=plan.peak_size))}
        for what, task in tasks.items():
            for kernel in plan.kernels:
                groups[what, kernel] = stack.enter_context(_group(plan, task, kernel, epochs[what]))
        for group in groups.values():
            group.ask("warm")
        answers, failed = in_turn(groups, plan.repetitions)
    errors = [f"{what} with {title(kernel)} failed: {reason}" for (what, kernel), reason in failed.items()]
    peaks = answers.pop(("peak", ""), [])
    rows = list(_rows(plan, tasks, answers, peaks)) if peaks else []
    data = {f"{what}, {kernel}": rounds for (what, kernel), rounds in answers.items()}
    return Finding("widths", "Speed by the number of trials at once: an epoch of one trial", rows, data, errors)


def _group(plan: Plan, task: Task, kernel: str, epochs: int) -> Group:
    settings = {"task": task.as_dict(), "widths": plan.widths, "epochs": epochs}
    return Group([plan.core], contender="widths", kernel=kernel, **settings)


def _rows(plan: Plan, tasks: Mapping[str, Task], answers: Rounds, peaks: list[Answers]) -> Iterator[Row]:
    best, _ = best_peak(peaks)
    rates = [one[0][best] for one in peaks]
    for (what, kernel), rounds in answers.items():
        gigaflops = tasks[what].flops / 1e9
        for width in plan.widths:
            seconds = [one[0][str(width)] for one in rounds]
            share = Spread.of([gigaflops / each / peak for each, peak in zip(seconds, rates, strict=True)])
            note = f"{gigaflops / Spread.of(seconds).median:.0f} GF/s, {share.median:.2f} of the peak"
            name = f"{title(kernel)}: {what}, {width} trial{'s' * (width > 1)}"
            yield Row(name, Spread.of([1000 * each for each in seconds]), "ms", note=note)
            if width == _JUDGED and what == _PAPER:
                target = Target(_SHARES[kernel], "at least") if kernel in _SHARES else None
                yield Row(f"{title(kernel)}: share of the peak, {width} trials", share, "", target=target)
