"""Reproduce the report, from its data to one page, and measure what lies beyond it for another: `scripts/reproduce`.

Every measurement is kept in the folder, so that an interrupted run resumes.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.processes import cores
from coarsefine.model.arithmetic import arithmetic_name
from coarsefine.model.datasets.cifar10_source import VARIABLE
from coarsefine.model.errors import ModelError
from coarsefine.search.errors import SearchError, UsageError
from reproduction.evidence import images_of
from reproduction.findings import Outcomes, find
from reproduction.jobs import PARTS, measure_all, processes
from reproduction.page import write_page
from reproduction.pictures import ALL_STEPS, draw_all, draw_steps
from reproduction.plan import PRESET, Plan
from reproduction.preset import find_steps, steps_before, write_preset_page
from reproduction.spread import Spread

_SEEDS, _QUICK_SEEDS = 5, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, and write the page, pictures and numbers."""
    options = _parse(arguments)
    try:
        _reproduce(options)
    except (SearchError, ModelError) as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say(f"Interrupted; what was measured is kept in {options.folder}. The same command goes on.")
        return 130
    return 0


def _reproduce(options: argparse.Namespace) -> None:
    plan = _plan(options)
    images = images_of(plan)  # cached now, so that each process maps them later
    _claim_folder(plan)
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    conditions = _conditions(plan, images.description)
    if "report" not in options.part:
        steps_before(output / _REPORT, conditions)  # refused now rather than after an hour
    with processes(options.jobs) as workers:
        for part in options.part:
            measured = measure_all(plan, part, workers, _say)
            seconds = sum(outcome["seconds"] for outcomes in measured.values() for outcome in outcomes)
            _WRITERS[part](output, plan, measured, {**conditions, "core_minutes": round(seconds / 60, 1)})


def _write_report(output: Path, _: Plan, measured: Outcomes, conditions: Mapping[str, Any]) -> None:
    found = find(measured)
    draw_all(output, measured, found)
    _write(output, "README.md", write_page(found, conditions), _REPORT, {"conditions": conditions, **_rounded(found)})


def _write_preset(output: Path, plan: Plan, measured: Outcomes, conditions: Mapping[str, Any]) -> None:
    found = find_steps(measured, plan, steps_before(output / _REPORT, conditions))
    draw_steps(output / ALL_STEPS, found.tests)
    content = {"conditions": conditions, **_rounded(found)}
    _write(output, "preset.md", write_preset_page(found, conditions), "preset.json", content)


_REPORT = "results.json"
_WRITERS = {"report": _write_report, "preset": _write_preset, "hidden": _write_preset}


def _write(output: Path, page: str, text: str, numbers: str, content: Mapping[str, Any]) -> None:
    (output / page).write_text(text, "utf-8")
    (output / numbers).write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    _say(f"Written: {output / page}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/reproduce", description=(__doc__ or "").partition(":")[0])
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="small and in about a minute: shows that it works; without CIFAR-10, on digits",
    )
    add("--data", type=Path, help="CIFAR-10: archive or folder. Default: COARSEFINE_DATA, else downloaded")
    add("--folder", type=Path, help="keeps campaigns and measurements. Default: reproduction, or reproduction-quick")
    add(
        "--output",
        type=Path,
        help="for page, pictures, numbers. Default: docs/results; of --quick: results in the folder",
    )
    add(
        "--part",
        action="append",
        choices=PARTS,
        help="measure and write this alone: the report and steps beyond it; the preset cifar10; that with hidden units "
        "searched, too. May be given again. Default: all",
    )
    add("--seeds", type=int, help=f"campaign seeds, from 1, at least 2. Default: {_SEEDS}; of --quick: {_QUICK_SEEDS}")
    add("--jobs", type=int, default=len(cores()), help="pieces measured at once. Default: the cores")
    options = parser.parse_args(arguments)
    options.part = [part for part in PARTS if part in (options.part or PARTS)]
    options.seeds = options.seeds or (_QUICK_SEEDS if options.quick else _SEEDS)
    if options.seeds < 2:  # noqa: PLR2004 - of one there is no spread
        parser.error(f"--seeds {options.seeds}: a spread takes two at least")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: one at least")
    options.folder = options.folder or Path("reproduction-quick" if options.quick else "reproduction")
    options.output = options.output or (options.folder / "results" if options.quick else Path("docs/results"))
    return options


def _plan(options: argparse.Namespace) -> Plan:
    source = options.data or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    digits = options.quick and source is None
    if digits:
        _say("No CIFAR-10 (--data, COARSEFINE_DATA): the digits stand in for it.")
    absolute = source.absolute() if source else None
    seeds = tuple(range(1, options.seeds + 1))
    return Plan(options.folder, absolute, options.quick, digits, seeds, trainings=2 if options.quick else 5)


def _claim_folder(plan: Plan) -> None:
    """Record in the folder what is measured there; refuse a folder with other measurements."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    note = plan.folder / "plan.json"
    if not note.exists():
        note.write_text(json.dumps(plan.identity, indent=2) + "\n", "utf-8")
    there = json.loads(note.read_text("utf-8"))
    for key, value in plan.identity.items():
        if there.get(key) != value:
            raise UsageError(
                f"{plan.folder} holds measurements with {key} = {there.get(key)}, not {value}: give another --folder."
            )


def _conditions(plan: Plan, images: str) -> dict[str, Any]:
    machine = describe_machine()
    versions = {name: number for name, number in describe_versions().items() if name in _TOLD}
    return {
        "command": "scripts/reproduce --quick" if plan.quick else "scripts/reproduce",
        "quick": plan.quick,
        "seeds": list(plan.seeds),
        "trainings": plan.trainings,
        "longer": {"epochs": plan.longer.epochs, "decay": plan.longer.decay},
        "images": images,
        "held_out": plan.campaign(PRESET, 1).network.data.options["held_out"],
        "machine": f"{machine['processor']}, {machine['cores']} cores ({arithmetic_name()})",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }


_TOLD = ("python", "numpy", "scipy", "optuna")


def _rounded(value: Any) -> Any:
    """Return the findings as JSON, with floats rounded to six digits."""
    if isinstance(value, Spread):
        value = value.as_dict()
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
