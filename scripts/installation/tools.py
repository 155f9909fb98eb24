"""Call uv or pip: uv installs in seconds, since it downloads packages side by side; where it cannot, pip does."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from installation.failures import Cause, SetupError, explain
from installation.output import PipOutput, UvOutput
from installation.progress import Progress

_NOT_FOR_CHILDREN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
Watch = Callable[[str], None]


def _ignore(_line: str) -> None:
    """Watch no output."""


class Tools:
    """The programs that fill an environment."""

    def __init__(self, venv: Path, lock_with_uv: Path, progress: Progress, held: int, *, keep_uv: bool) -> None:
        """Give each program the open file `held`: its lock is held until the last program ends.

        If uv has to be downloaded from its entry in `lock_with_uv`, `keep_uv` says whether it stays.
        """
        self._venv, self._python = venv, venv / "bin" / "python"
        self._own_uv = venv / "uv"
        self._lock_with_uv = lock_with_uv
        self._keep_uv = keep_uv
        self._progress = progress
        self._held = held

    def make_environment(self, python: str) -> None:
        """Make an environment with pip and nothing else in place of what is there."""
        self._call("python -m venv", [python, "-m", "venv", "--clear", str(self._venv)])

    def install_packages(self, lock: Path) -> None:
        """Install the packages of a lock; those that are there already stay as they are."""
        arguments = ["--require-hashes", "-r", str(lock)]
        if self._uv is None or not self._installed_with_uv(arguments, UvOutput(self._progress)):
            self._progress.step("Downloading packages, with pip")
            self._pip(["--no-compile", *arguments], PipOutput(self._progress))

    def install_checkout(self, root: Path) -> None:
        """Install the checkout, so that changes to its files take effect at once."""
        arguments = ["--no-deps", "--no-build-isolation", "-e", str(root)]
        if self._uv is None or not self._installed_with_uv(arguments):
            self._pip(arguments)

    def remove_own_uv(self) -> None:
        """Remove what was downloaded for this installation alone."""
        shutil.rmtree(self._own_uv, ignore_errors=True)

    def _installed_with_uv(self, arguments: Sequence[str], watch: Watch = _ignore) -> bool:
        try:
            self._call("uv", [str(self._uv), "pip", "install", "--python", str(self._python), *arguments], watch)
        except SetupError as error:
            if error.cause in {Cause.NO_ROOM, Cause.WRONG_HASH}:
                raise
            self._progress.say(f"uv gave up, so pip tries. The reason: {error.reason}")
            self._uv = None
            return False
        return True

    @cached_property
    def _uv(self) -> str | None:
        """The environment's uv, else one on PATH, else one that pip installs now, else None."""
        return shutil.which("uv", path=self._venv / "bin") or shutil.which("uv") or self._download_uv()

    def _download_uv(self) -> str | None:
        self._progress.step("Downloading uv, which installs the packages")
        self._own_uv.mkdir(exist_ok=True)
        entry = self._own_uv / "uv.lock"
        found = re.search(r"^uv==(?:.*\\\n)*.*\n", self._lock_with_uv.read_text("utf-8"), re.MULTILINE)
        entry.write_text(found.group() if found else "", "utf-8")
        place = [] if self._keep_uv else ["--upgrade", "--target", str(self._own_uv)]
        try:
            self._pip([*place, "--require-hashes", "-r", str(entry)])
        except SetupError as error:  # there may be no uv for this machine
            if error.cause is not Cause.OTHER:
                raise
        return shutil.which("uv", path=(self._venv if self._keep_uv else self._own_uv) / "bin")

    def _pip(self, arguments: Sequence[str], watch: Watch = _ignore) -> None:
        pip = [str(self._python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        self._call("pip", [*pip, *arguments], watch)

    def _call(self, program: str, command: Sequence[str], watch: Watch = _ignore) -> None:
        """Run a program, and give `watch` each line of its output; raise `SetupError` if the program fails."""
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN}
        lines = []
        try:
            with subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                pass_fds=(self._held,), encoding="utf-8", errors="replace",
            ) as process:  # fmt: skip
                for line in process.stdout or ():
                    lines.append(line)
                    watch(line.strip())
        except OSError as error:  # it cannot be started
            raise explain(program, str(error), self._venv) from error
        log = append_to_log(self._venv, lines)
        if process.returncode:
            raise explain(program, "".join(lines), self._venv, log)


def append_to_log(venv: Path, lines: Iterable[str]) -> Path | None:
    """Append what a program printed to the log of `venv`, and return its path; None if it cannot be written."""
    path = venv / "setup.log"
    try:
        with path.open("a", encoding="utf-8") as log:
            log.writelines(lines)
    except OSError:  # an installation can do without
        return None
    return path
