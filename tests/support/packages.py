"""Install packages for a test: a folder on Python's path with modules and their `.dist-info`, as pip makes it."""

import os
import shutil
import tomllib
from pathlib import Path

from forked import forked_command

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
_SOURCE = str(Path(__file__).parents[2] / "src")


def install(folder, name, entries, **modules):
    """Write a package with entry points, `{group: {name: "module:object"}}`, and the text of its modules."""
    info = Path(folder) / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
    lines = []
    for group, named in entries.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in named.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    for module, text in modules.items():
        (Path(folder) / f"{module}.py").write_text(text, "utf-8")
    return Path(folder)


def install_example(folder, name):
    """Install the package of `docs/examples/NAME`, with the entry points of its pyproject.toml; return the folder."""
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text("utf-8"))["project"]
    text = (EXAMPLES / name / f"{name}.py").read_text("utf-8")
    return install(folder, project["name"], project["entry-points"], **{name: text})


def environment_with(*folders):
    """Return the environment of a process that finds these folders, and Coarsefine."""
    return {"PYTHONPATH": os.pathsep.join((*map(str, folders), _SOURCE))}


def run_example(folder, name, site, *options):
    """Run the campaign of `docs/examples/NAME` in a folder with two worker processes; return the answer."""
    shutil.copy(EXAMPLES / name / f"{name}.toml", folder)
    answer = forked_command("run", f"{name}.toml", "--workers", 2, *options, cwd=folder, packages=[site])
    assert answer.returncode == 0, answer.stderr
    return answer
