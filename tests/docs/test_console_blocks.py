"""The console blocks of README and docs print what is shown there.

The blocks of a page are one session in an empty folder. Comments before a block say what is special about it:

- `<!-- file: NAME -->`: the block is the content of a file, which the session's commands use; of a path, the last part
  is its name. With `in an empty folder` after it, another session starts.
- `<!-- not run: REASON -->`: the block is not run.
- `<!-- numbers depend on the machine -->`: the words are compared, and of each number only that it is one.

In what a command prints, a line `…` stands for any lines, and `…` in a line for any text. Durations, sizes and ports
are never compared. /home/you, or a folder in it, is the folder of the session.

Each command is run. A campaign that another page has run from the same files is not trained again, though: the session
goes on in a copy of that page's folder, where the page's own command prints the result of the studies.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forked import PATIENCE, Forked, run_program, run_script

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n+)?^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
ANY_NUMBER = "depend on the machine"
SERVING = "Press Ctrl-C to stop."
NEW_FOLDER = " in an empty folder"
ACTIVATE = ". .venv/bin/activate"
"""What puts Coarsefine on the PATH, where every session has it."""
PLAIN = re.compile(r"(coarsefine|python) [\w ./-]+")
"""A command without the syntax of a shell."""
RUN = re.compile(r"(?:coarsefine|\S*scripts/)\s*run ([\w.]+)(?: --quiet)?")
"""A run of a campaign with the default options."""
HOME = r"/home/you(?:/coarsefine)?"
NUMBER = r"[-−+]?\d[\d.,]*(?:e[-+]\d+)?(?<![.,])"
VARIABLE = {
    r"127\.0\.0\.1:\d+": r"127\.0\.0\.1:\d+",
    rf"{NUMBER} (?:s|ms|minutes|MB|MiB)\b": rf"{NUMBER} \w+",
    "─+": "─+",
}
"""What may vary on any page: a free port, a duration or a size, the width of a table."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the comment before it."""

    kind: str
    mark: str
    text: str


@dataclass
class Command:
    """A line after a prompt, and the lines that it prints."""

    line: str
    output: list[str] = field(default_factory=list)


def blocks_of(page):
    """Return the fenced blocks of a page."""
    found = FENCE.finditer(page.read_text("utf-8"))
    return [Block(match["kind"], match["mark"] or "", match["text"]) for match in found]


def commands_of(text):
    """Return the commands of a console block."""
    commands = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:]))
        elif commands and commands[-1].line.endswith("\\") and not commands[-1].output:
            commands[-1].line = commands[-1].line[:-1] + line
        else:
            commands[-1].output.append(line)
    return commands


def runs_commands(page):
    return any(block.kind == "console" and not block.mark.startswith("not run") for block in blocks_of(page))


class Session:
    """A folder in which commands are run. All sessions have the same path, since studies hold paths of files."""

    def __init__(self, folder, finished):
        self.folder, self._finished = folder, finished

    def start(self):
        """Empty the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def run(self, line):
        """Run a command; return what it prints. Do not train a campaign that ran from the same files before."""
        key = self._key(line)
        if key in self._finished:
            shutil.copytree(self._finished[key], self.folder, dirs_exist_ok=True)
        printed = output_of(line, self.folder)
        if key and key not in self._finished:
            self._finished[key] = self.folder.with_name(f"finished-{len(self._finished)}")
            shutil.copytree(self.folder, self._finished[key])
        return printed

    def _key(self, line):
        """Return the campaign that a command runs and the files that are there before it; None for other commands."""
        if run := RUN.fullmatch(line):
            paths = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
            return run[1], *((path.relative_to(self.folder), path.read_bytes()) for path in paths)
        return None


@pytest.fixture(scope="module")
def finished():
    """Return the copies of sessions that ran a campaign, by what `Session` knows it by."""
    return {}


@pytest.fixture
def session(finished, tmp_path_factory):
    """Return a session in an empty folder."""
    session = Session(tmp_path_factory.getbasetemp() / "session", finished)
    session.start()
    return session


@pytest.mark.parametrize("page", [*filter(runs_commands, PAGES)], ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_print_what_the_page_shows(page, session):
    """Each command of a page prints what the page shows, in one session from the top of the page to its end."""
    for block in blocks_of(page):
        if block.mark.startswith("file: "):
            if block.mark.endswith(NEW_FOLDER):
                session.start()
            (session.folder / name_of(block)).write_text(block.text, "utf-8")
        elif block.kind == "console" and not block.mark.startswith("not run"):
            for command in commands_of(block.text):
                printed = session.run(command.line)
                expected = pattern_of(command.output, session.folder, any_number=ANY_NUMBER in block.mark)
                assert re.fullmatch(expected, printed), f"$ {command.line}\n{printed}\ndoes not match\n{expected}"


def name_of(block):
    """Return the name of the file that a block shows."""
    return Path(block.mark.removeprefix("file: ").removesuffix(NEW_FOLDER)).name


def output_of(line, folder):
    """Run a command in a folder; return what it prints. A server is stopped once it serves."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COARSEFINE_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    line = (
        line.partition(" #")[0]
        .replace(ACTIVATE, "true")
        .replace("scripts/", f"{ROOT}/scripts/")
        .replace(".venv/bin/", "")
    )
    if PLAIN.fullmatch(line) and "serve" not in line:
        function, words = run_program if line.startswith("coarsefine") else run_script, line.split()[1:]
        process = Forked(function, *words, cwd=folder, env=environment, merged=True)
        return process.communicate(PATIENCE)[0]
    line = line.replace("coarsefine serve", "exec coarsefine serve --port 0")
    with subprocess.Popen(
        ["/bin/bash", "-c", line],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        printed = ""
        for printed_line in process.stdout:
            printed += printed_line
            if SERVING in printed_line:
                process.send_signal(signal.SIGINT)
    return printed


def pattern_of(lines, folder, *, any_number):
    """Return a regular expression for the output that a page shows."""
    varying = VARIABLE | ({NUMBER: NUMBER} if any_number else {})
    varying |= {HOME: re.escape(str(folder)), " ?…": ".*"}
    return "".join(r"(?:.*\n)*?" if line.strip() == "…" else line_pattern(line, varying) for line in lines)


def line_pattern(line, varying):
    """Return a regular expression for a line; `varying` maps patterns of what varies in it to what may stand there."""
    pattern = ""
    for part in re.split("(" + "|".join(varying) + r"|\s+|─+)", line):
        known = (allowed for shown, allowed in varying.items() if re.fullmatch(shown, part))
        pattern += next(known, r"\s+" if part.isspace() else re.escape(part))
    return rf"{pattern}\s*?\n"
