"""The time of an epoch when hidden units die and their weights decay to denormal numbers."""

from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.kernels import NUMPY, title
from benchmarks.measure import Spread
from benchmarks.processes import Group
from benchmarks.task import paper_task

_ROUNDS = 3
_NUMPY_EPOCHS = 10
"""Enough to show what denormal numbers cost without the kernel."""
_MOST = Target(1.1, "at most")


def measure_denormals(plan: Plan) -> Finding:
    """Train a stack of four trials whose hidden units die, with each kernel and without one."""
    plan.say("Timing epochs with dying hidden units ...")
    task = paper_task(plan.folder, plan.source, plan.images)
    rows, data = [], {}
    for kernel in dict.fromkeys((*plan.kernels, NUMPY)):
        rounds, epochs = (1, min(plan.dying_epochs, _NUMPY_EPOCHS)) if kernel == NUMPY else (_ROUNDS, plan.dying_epochs)
        with Group([plan.core], contender="dying", kernel=kernel, task=task.as_dict(), epochs=epochs) as group:
            answers = [group.ask("round")[0] for _ in range(rounds)]
        data[kernel] = answers
        slowdown = Spread.of([max(one["seconds"]) / one["seconds"][0] for one in answers])
        note = f"of {epochs} epochs; the first takes {Spread.of([one['seconds'][0] for one in answers]).median:.2f} s"
        target = None if kernel == NUMPY else _MOST
        rows.append(Row(f"{title(kernel)}: slowest epoch against the first", slowdown, "×", target=target, note=note))
    return Finding("denormals", "Dying hidden units: denormal numbers", rows, data)
