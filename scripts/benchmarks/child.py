"""Run one contender in a process that answers its parent's requests, one line of JSON at a time.

`python -m benchmarks.child '{"contender": "coarsefine", ...}'`. Requests come on stdin, each the name of a method with
its arguments; answers go to stdout. Between requests the process sleeps, so that it does not disturb other timings.
"""

import importlib
import json
import os
import sys
from typing import Any

NETWORKS = {
    "coarsefine": ("coarsefine", "Coarsefine"),
    "plain": ("plain", "Plain"),
    "sklearn": ("sklearn_mlp", "Sklearn"),
    "torch": ("torch_single", "Single"),
    "torch-stacked": ("torch_stacked", "Stacked"),
    "jax": ("jax_vmap", "Jax"),
}
OTHERS = {
    "dying": ("dying", "Dying"),
    "optuna": ("torch_single", "WithOptuna"),
    "peak": ("peak", "Peak"),
    "profile": ("profiled", "Profiled"),
    "stage": ("stage", "Stage"),
    "widths": ("widths", "Widths"),
}


def build(
    contender: str,
    task: dict[str, Any] | None = None,
    kernel: str | None = None,
    before: str | None = None,
    **settings: Any,
) -> Any:
    """Return the object whose methods answer the requests.

    `kernel` forces Coarsefine's kernel, and `before` is a checkout of another version of Coarsefine to use instead.
    """
    if before:
        sys.path.insert(0, f"{before}/src")
    if kernel:
        _force(kernel)
    module, name = (NETWORKS | OTHERS)[contender]
    kind = getattr(importlib.import_module(f"benchmarks.contenders.{module}"), name)
    if task is None:
        return kind(**settings)
    from benchmarks.task import Task  # noqa: PLC0415 - a contender's own settings come before NumPy loads

    if contender in OTHERS:
        return kind(Task(**task), **settings)
    from benchmarks.contenders.network import Timed  # noqa: PLC0415

    return Timed(kind, Task(**task), **settings)


def _force(kernel: str) -> None:
    """Use one kernel in this process; raise `RuntimeError` if another one is in use already."""
    from coarsefine.model.kernel.library import VARIABLE, load  # noqa: PLC0415 - an earlier version has none

    os.environ[VARIABLE] = kernel
    library = load()
    if (found := library.instruction_set if library else "none") != kernel:
        raise RuntimeError(f"the kernel is {found} instead of {kernel}")


def main() -> None:
    """Build the contender, report it ready, and answer until stdin ends. An error is sent in place of an answer."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    held = None
    for line in sys.stdin:
        request = json.loads(line)
        method = request.pop("method")
        try:
            if method == "build":
                held = build(**request)
                answer: Any = {}
            else:
                answer = getattr(held, method)(**request)
        except Exception as error:  # noqa: BLE001 - whatever a library raises belongs into the table
            reason = str(error).partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {reason}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
