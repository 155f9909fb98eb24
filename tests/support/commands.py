"""Run commands: in this process if that is enough, otherwise in a process of their own."""

import io
import os
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

import pytest

from coarsefine import __main__ as coarsefine_main
from coarsefine.search.cli import main


@dataclass(frozen=True)
class Answer:
    """The result of a command, with the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def coarsefine(*arguments, cwd, env=None):
    """Run a command in this process: it starts at once, and an unhandled exception fails the test."""
    arguments = [coarsefine_main.__file__, *map(str, arguments)]
    with redirect_stdout(_Text()) as out, redirect_stderr(_Text()) as err, chdir(cwd), _environment(env):
        with patch.object(sys, "argv", arguments):
            code = _exit_code()
        return Answer(code, out.text(), err.text())


def coarsefine_process(*arguments, cwd, env=None, prefix=(), **options):
    """Run a command in its own process, for tests of resource limits and environment variables."""
    command = [*prefix, sys.executable, "-m", "coarsefine", *map(str, arguments)]
    with _environment(env):
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280, **options)


def drop_root_access():
    """Return a command prefix that applies file modes to root too, who otherwise may read every file."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root reads every file, and setpriv (util-linux) is not here to take that right away")
    rights = "-dac_override,-dac_read_search"
    return [setpriv, f"--bounding-set={rights}", f"--inh-caps={rights}"]


class _Text(io.TextIOWrapper):
    """A stream with a buffer, like stdout, whose text can be read."""

    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    def text(self):
        return self.buffer.getvalue().decode("utf-8")


def _environment(changes):
    """Patch the environment: remove COARSEFINE_DATA, and apply the test's changes."""
    kept = {name: value for name, value in os.environ.items() if name != "COARSEFINE_DATA"}
    return patch.dict(os.environ, {**kept, **(changes or {})}, clear=True)


def _exit_code():
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0
