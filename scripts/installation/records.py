"""What is complete in an environment: each step of the installation leaves a record of what it was made from."""

import json
import os
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from coarsefine.model.kernel.instruction_sets import instruction_sets_of

RUNNING, DEVELOPMENT = "requirements.lock", "requirements-dev.lock"
KERNEL = "requirements-kernel.lock"
"""What compiles the kernel where there is no C compiler."""


@dataclass(frozen=True)
class Record:
    """The record of one step, which is complete if the record holds what the step would be made from now."""

    path: Path
    made_from: str

    @property
    def is_there(self) -> bool:
        """Whether the step was started."""
        return self.path.exists()

    @property
    def is_complete(self) -> bool:
        """Whether the step is complete."""
        return self.is_there and self.path.read_text("utf-8") == self.made_from

    def start(self) -> None:
        """Record that the step was started. It is complete once `complete` is called."""
        self.path.write_text("", "utf-8")

    def forget(self) -> None:
        """Record that the step was not started."""
        self.path.unlink(missing_ok=True)

    def complete(self) -> None:
        """Record that the step is complete."""
        self.path.write_text(self.made_from, "utf-8")


@dataclass(frozen=True)
class Records:
    """The steps: what running needs, what development needs on top, the checkout itself, and a kernel that fails."""

    running: Record
    development: Record
    checkout: Record
    failed_kernel: Record
    """The last try to compile the kernel, if it failed. It is not repeated with the same inputs."""

    @classmethod
    def of(cls, root: Path, venv: Path) -> "Records":
        """Return the records in `venv` for the checkout `root` in its present state, and for this Python's version."""
        place = f"{root}\nPython {sys.version_info.major}.{sys.version_info.minor}\n"
        project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        how_installed = [project["build-system"], project["project"], project.get("tool", {}).get("hatch")]
        return cls(
            Record(venv / "installed-to-run", place + (root / RUNNING).read_text("utf-8")),
            Record(venv / "installed-to-develop", (root / DEVELOPMENT).read_text("utf-8")),
            Record(venv / "installed-checkout", json.dumps(how_installed)),
            Record(venv / "failed-kernel", json.dumps(_inputs_of_kernel(root))),
        )


def _inputs_of_kernel(root: Path) -> list[str | None]:
    """Return what decides whether the kernel can be compiled, as far as it is known before a try."""
    named = os.environ.get("CC", "")
    program = (named.split() or ["cc"])[0]
    sources = [each.source_digest() for each in instruction_sets_of()]
    return [*sources, (root / KERNEL).read_text("utf-8"), named, shutil.which(program)]
