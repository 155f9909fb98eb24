"""Time a whole stage through storage and the part of it that is not training, on the paper's images and on digits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import campaigns
from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.measure import Spread
from benchmarks.processes import Group


def measure_storage(plan: Plan) -> Finding:
    """Run whole stages, alternating between the two kinds."""
    paper = campaigns.write_paper_shaped(
        plan.folder / "paper.toml", images=plan.images, trials=plan.stage_trials, epochs=plan.stage_epochs
    )
    digits = campaigns.write_digits(plan.folder / "digits.toml", trials=plan.digits_trials, epochs=plan.digits_epochs)
    plan.say(f"Timing whole stages through storage, {plan.repetitions} rounds in turn ...")
    with (
        Group([plan.core], contender="stage", data=str(plan.source)) as on_paper,
        Group([plan.core], contender="stage", data=None) as on_digits,
    ):
        rounds = [
            (
                _round(on_paper, paper, plan.folder / f"paper-{n}.db"),
                _round(on_digits, digits, plan.folder / f"d-{n}.db"),
            )
            for n in range(plan.repetitions)
        ]
    papers, of_digits = [paper for paper, _ in rounds], [digits for _, digits in rounds]
    return Finding(
        "storage",
        "Storage: what of a stage is not training",
        [*_paper_rows(plan, papers), *_digits_rows(plan, of_digits)],
        {"paper": papers, "digits": of_digits, "paper_images": campaigns.paper_images(plan.images)},
    )


def _round(group: Group, campaign: str, storage: Path) -> dict[str, Any]:
    return group.ask("round", campaign=campaign, storage=str(storage))[0]


def _wall(stage: Mapping[str, Any]) -> float:
    """Return the seconds of a stage, including its opening."""
    return float(stage["opening"] + stage["seconds"])


def _paper_rows(plan: Plan, stages: list[dict[str, Any]]) -> list[Row]:
    images = campaigns.paper_images(plan.images)
    shape = f"{plan.stage_trials} trials of {plan.stage_epochs} epochs, {images:,} images"
    wall = Spread.of([_wall(stage) for stage in stages])
    share = Spread.of([1 - stage["training"] / _wall(stage) for stage in stages])
    return [
        Row("a stage of the paper's shape, wall clock", wall, "s", note=shape),
        Row("share of it not in training", share, "", target=Target(0.03, "at most")),
    ]


def _digits_rows(plan: Plan, stages: list[dict[str, Any]]) -> list[Row]:
    shape = f"{plan.digits_trials} trials of {plan.digits_epochs} epochs"
    whole = Spread.of([1000 * _wall(stage) / stage["trials"] for stage in stages])
    outside = [1000 * (_wall(stage) - stage["training"]) / stage["trials"] for stage in stages]
    return [
        Row("a stage on digits, wall clock of a trial", whole, "ms", note=shape),
        Row("time of it not in training", Spread.of(outside), "ms", target=Target(5.0, "at most")),
    ]
