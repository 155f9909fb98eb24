"""Run `python -m coarsefine` so that a worker crashes in order whenever there is a file named `crash`.

The network's training is replaced in this process and, since worker processes import the module they were started from,
in its workers. The first worker that finds the file removes it, and raises an error that cannot be printed.
"""

from pathlib import Path
from typing import Any

from coarsefine.model import Training


class UnprintableError(Exception):
    """An error of which nothing can be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def _crash_if_asked() -> None:
    run_epoch = Training.run_epoch

    def run_or_crash(training: Training, *rest: Any) -> Any:
        try:
            Path("crash").unlink()
        except FileNotFoundError:
            return run_epoch(training, *rest)
        raise UnprintableError

    setattr(Training, "run_epoch", run_or_crash)  # noqa: B010 - mypy knows the method as another type


if __name__ in {"__main__", "__mp_main__"}:
    _crash_if_asked()

if __name__ == "__main__":
    from coarsefine.search.cli import main

    main()
