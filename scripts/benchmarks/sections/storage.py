"""Time a whole stage through storage and the part of it that is not training, on the paper's images and on digits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import campaigns
from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.kernels import AVX2, AVX512, NUMPY, title
from benchmarks.measure import Spread
from benchmarks.processes import Group

_BEFORE = "the version before"
_TARGETS = {AVX512: 1.5, AVX2: 1.4}
"""How many times as fast a stage on digits should be as with the version before the kernel."""
Stages = Mapping[str, Sequence[Mapping[str, Any]]]


def measure_storage(plan: Plan) -> Finding:
    """Run whole stages in turn: the paper's images with one kernel, digits with each, without one, and as before."""
    paper = campaigns.write_paper_shaped(
        plan.folder / "paper.toml", images=plan.images, trials=plan.stage_trials, epochs=plan.stage_epochs
    )
    digits = campaigns.write_digits(plan.folder / "digits.toml", trials=plan.digits_trials, epochs=plan.digits_epochs)
    plan.say(f"Timing whole stages through storage, {plan.repetitions} rounds in turn ...")
    used = plan.kernels[0]
    with ExitStack() as stack:
        groups = {"paper": (paper, _group(plan, stack, kernel=used, data=str(plan.source)))}
        for kernel in dict.fromkeys((*plan.kernels, NUMPY)):
            groups[kernel] = (digits, _group(plan, stack, kernel=kernel, data=None))
        if plan.before:
            groups[_BEFORE] = (digits, _group(plan, stack, before=str(plan.before), data=None))
        stages: dict[str, list[dict[str, Any]]] = {name: [] for name in groups}
        for n in range(plan.repetitions):
            for name, (campaign, group) in groups.items():
                stages[name].append(_round(group, campaign, plan.folder / f"{name.replace(' ', '-')}-{n}.db"))
    rows = [*_paper_rows(plan, stages["paper"]), *_digits_rows(plan, stages[used]), *_ratio_rows(plan, stages)]
    data = {"stages": stages, "paper_images": campaigns.paper_images(plan.images)}
    return Finding("storage", "Storage: what of a stage is not training", rows, data)


def _group(plan: Plan, stack: ExitStack, **settings: Any) -> Group:
    return stack.enter_context(Group([plan.core], contender="stage", **settings))


def _round(group: Group, campaign: str, storage: Path) -> dict[str, Any]:
    return group.ask("round", campaign=campaign, storage=str(storage))[0]


def _wall(stage: Mapping[str, Any]) -> float:
    """Return the seconds of a stage, including its opening."""
    return float(stage["opening"] + stage["seconds"])


def _paper_rows(plan: Plan, stages: Sequence[Mapping[str, Any]]) -> list[Row]:
    images = campaigns.paper_images(plan.images)
    shape = f"{plan.stage_trials} trials of {plan.stage_epochs} epochs, {images:,} images"
    wall = Spread.of([_wall(stage) for stage in stages])
    share = Spread.of([1 - stage["training"] / _wall(stage) for stage in stages])
    return [
        Row("a stage of the paper's shape, wall clock", wall, "s", note=shape),
        Row("share of it not in training", share, "", target=Target(0.03, "at most")),
    ]


def _digits_rows(plan: Plan, stages: Sequence[Mapping[str, Any]]) -> list[Row]:
    shape = f"{plan.digits_trials} trials of {plan.digits_epochs} epochs"
    whole = Spread.of([1000 * _wall(stage) / stage["trials"] for stage in stages])
    outside = [1000 * (_wall(stage) - stage["training"]) / stage["trials"] for stage in stages]
    return [
        Row("a stage on digits, wall clock of a trial", whole, "ms", note=shape),
        Row("time of it not in training", Spread.of(outside), "ms", target=Target(5.0, "at most")),
    ]


def _ratio_rows(plan: Plan, stages: Stages) -> Iterator[Row]:
    """Yield how many times as fast a stage on digits is with each kernel as before, and as without a kernel."""
    for kernel in plan.kernels:
        target = Target(_TARGETS[kernel], "at least") if kernel in _TARGETS else None
        name = f"{title(kernel)}: a stage on digits against {_BEFORE}"
        if plan.before:
            yield Row(name, _ratio(stages[_BEFORE], stages[kernel]), "×", target=target, note=str(plan.before))
        else:
            yield Row(name, None, "×", target=target, note="--before names a checkout of it")
        if kernel != NUMPY:
            times = _ratio(stages[NUMPY], stages[kernel])
            note = "NumPy, one trial at a time"
            yield Row(f"{title(kernel)}: a stage on digits against {title(NUMPY)}", times, "×", note=note)


def _ratio(theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> Spread:
    return Spread.of([_wall(their) / _wall(our) for their, our in zip(theirs, ours, strict=True)])
