"""Measure Coarsefine against its alternatives in one run: `scripts/bench`.

Claim (n = 7 alternating rounds, two idle cores of an AMD EPYC, Zen 4, AVX-512; medians; 20,000 made-up images of
CIFAR-10's shape): one core trains an epoch of a trial 3.6 times as fast as plain NumPy in float64, 2.3 times as fast as
PyTorch, 2.2 times as fast as scikit-learn and as Optuna with PyTorch, 1.45 times as fast as stacked PyTorch and 1.2
times as fast as JAX. An epoch of 16 trials reaches 0.95 of the core's sgemm peak.

Each contender runs in its own process with one thread, pinned to the same core, and is warmed up before the clock
starts. Contenders with one process per core use all cores at once. Figures go to stdout as a table and to a file as
JSON; messages go to stderr.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.findings import Finding, Plan
from benchmarks.kernels import kernels
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.picture import write_picture
from benchmarks.processes import CAN_PIN, ContenderError, cores
from benchmarks.sections import SECTIONS
from benchmarks.table import print_findings
from benchmarks.task import write_synthetic

_FULL: dict[str, Any] = {
    "images": 20_000,
    "repetitions": 7,
    "stage_trials": 12,
    "stage_epochs": 10,
    "digits_trials": 40,
    "digits_epochs": 15,
    "digits_rounds": 200,
    "widths": (1, 4, 8, 16, 32),
    "profiled": (1, 16),
    "dying_epochs": 14,
    "whole_paper": True,
    "peer_epochs": 10,
    "tune": True,
    "peak_size": 4096,
    "growth_images": (1000, 3000, 10_000, 30_000),
    "growth_hidden": (10, 20, 50, 100, 200, 500),
    "growth_trials": (10, 100, 1000),
}
_QUICK: dict[str, Any] = {
    **_FULL,
    "images": 2000,
    "repetitions": 3,
    "stage_epochs": 1,
    "digits_epochs": 3,
    "digits_rounds": 20,
    "dying_epochs": 3,
    "whole_paper": False,
    "peer_epochs": 2,
    "tune": False,
    "peak_size": 2048,
    "growth_images": (1000, 3000),
    "growth_hidden": (10, 50, 100),
    "growth_trials": (10, 100),
}
_BATCH = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; return 1 if a contender did unequal work or a section failed, else 0."""
    options = _parse(arguments)
    began = time.perf_counter()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="coarsefine-bench-") as folder:
        plan = _plan(options, Path(folder))
        findings = [_measured(name, plan) for name in options.only or SECTIONS]
    report = {
        "machine": machine,
        "versions": describe_versions(),
        "conditions": _conditions(options, plan),
        "seconds": time.perf_counter() - began,
        "sections": {f.name: {"rows": [r.as_dict() for r in f.rows], **f.data, "errors": f.errors} for f in findings},
    }
    options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    print_findings(findings, "; ".join(_heading(report)))
    if options.picture:
        write_picture(options.picture, [row for f in findings for row in f.rows], _heading(report))
    _say(f"Written: {options.json}, after {report['seconds']:.0f} s.")
    return int(any(finding.errors for finding in findings))


def _measured(name: str, plan: Plan) -> Finding:
    """Return the findings of a section; a section that fails does not stop the others."""
    try:
        return SECTIONS[name](plan)
    except ContenderError as error:
        return Finding(name, name, [], {}, [f"{name} could not be measured: {error}"])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure Coarsefine against its peers.")
    add = parser.add_argument
    add("--quick", action="store_true", help="small and in under two minutes: shows that it works, not how fast we are")
    add("--data", type=Path, help="CIFAR-10: archive or folder. Default: COARSEFINE_DATA, else made-up images")
    add("--json", type=Path, default=Path("bench.json"), metavar="FILE", help="default: %(default)s")
    add("--picture", type=Path, metavar="FILE", help="also draw the ratios, as SVG")
    add("--before", type=Path, metavar="CHECKOUT", help="an earlier version, to compare a stage of digits with")
    add("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    add("--images", type=_images, metavar="N", help=f"training images of the peers' comparison, by {_BATCH}")
    add("--repetitions", type=int, metavar="N", help="rounds in turn")
    add("--smallest", action="store_true", help=argparse.SUPPRESS)  # what the tests run
    options = parser.parse_args(arguments)
    if not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder")  # reported before the measurement, not after it
    if options.before and not (options.before / "src" / "coarsefine").is_dir():
        parser.error(f"--before {options.before}: there is no src/coarsefine in it")
    return options


def _images(text: str) -> int:
    images = int(text)
    if images < _BATCH or images % _BATCH:
        raise argparse.ArgumentTypeError(f"{text} is no multiple of {_BATCH}")
    return images


_SMALLEST: dict[str, Any] = {
    **_QUICK,
    "images": 200,
    "repetitions": 1,
    "stage_trials": 2,
    "digits_trials": 3,
    "digits_epochs": 1,
    "digits_rounds": 1,
    "widths": (1, 16),
    "profiled": (16,),
    "dying_epochs": 2,
    "peer_epochs": 1,
    "peak_size": 128,
    "growth_images": (200,),
    "growth_hidden": (10, 20),
    "growth_trials": (2,),
}


def _plan(options: argparse.Namespace, folder: Path) -> Plan:
    sizes = dict(_SMALLEST if options.smallest else _QUICK if options.quick else _FULL)
    sizes |= {key: getattr(options, key) for key in ("images", "repetitions") if getattr(options, key) is not None}
    kept = options.data or (Path(os.environ["COARSEFINE_DATA"]) if os.environ.get("COARSEFINE_DATA") else None)
    if kept is None:
        _say("No CIFAR-10 (--data, COARSEFINE_DATA): measuring on made-up images of its shape.")
    source = kept.absolute() if kept else write_synthetic(folder / "synthetic")
    return Plan(
        folder=folder, source=source, synthetic=kept is None, cores=cores(), kernels=kernels(),
        before=options.before and options.before.absolute(), say=_say, **sizes,
    )  # fmt: skip


def _conditions(options: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    return {
        "quick": options.quick or options.smallest,
        "data": "synthetic, of CIFAR-10's shape" if plan.synthetic else "CIFAR-10",
        "images": plan.images,
        "repetitions": plan.repetitions,
        "tuned": plan.tune,
        "threads": 1,
        "kernels": plan.kernels,
        "core": plan.core if CAN_PIN else None,
    }


def _heading(report: dict[str, Any]) -> list[str]:
    machine, conditions = report["machine"], report["conditions"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items() if number)
    pinned = "pinned" if machine["pinned"] else "not pinned (this system cannot)"
    where = f"{machine['processor']}, {machine['cores']} cores, {pinned}"
    what = f"{conditions['images']:,} images, {conditions['data']}; n = {conditions['repetitions']}"
    return [f"{where}; {what}", versions]


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
