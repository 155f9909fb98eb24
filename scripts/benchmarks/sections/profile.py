"""Where the time of an epoch goes, part by part, with each kernel."""

from benchmarks.findings import Finding, Plan, Row
from benchmarks.kernels import NUMPY, title
from benchmarks.measure import Spread
from benchmarks.processes import Group
from benchmarks.task import paper_task
from coarsefine.search.campaign.words import counted


def measure_profile(plan: Plan) -> Finding:
    """Train epochs of one trial and of a stack with a clock around each call of the kernel."""
    plan.say("Profiling the training of a stack ...")
    task = paper_task(plan.folder, plan.source, plan.images)
    rows, data = [], {}
    for kernel in plan.kernels:
        if kernel == NUMPY:
            rows.append(Row("step and projection", None, "of an epoch", note="there is no kernel to profile"))
            continue
        for width in plan.profiled:
            with Group([plan.core], contender="profile", kernel=kernel, task=task.as_dict(), width=width) as group:
                rounds = [group.ask("round")[0] for _ in range(plan.repetitions)]
            name = f"{title(kernel)}, {counted(width, 'trial')}"
            data[name] = rounds
            rows += [
                Row(f"{name}: {part}", _spread(rounds, part), "of an epoch", note=_speed(rounds, part))
                for part in rounds[0]["shares"]
            ]
    return Finding("profile", "Where an epoch spends its time", rows, data)


def _spread(rounds: list[dict[str, dict[str, float]]], part: str) -> Spread:
    return Spread.of([one["shares"][part] for one in rounds])


def _speed(rounds: list[dict[str, dict[str, float]]], part: str) -> str:
    speeds = [one["speeds"][part] for one in rounds if part in one["speeds"]]
    return f"at {Spread.of(speeds):.0f} GF/s" if speeds else ""
