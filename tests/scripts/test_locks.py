"""The locks are as scripts/lock writes them: complete, of the same versions, and tied to no index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
NAMES = ("requirements.lock", "requirements-dev.lock", "requirements-kernel.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
GROUPS = PROJECT["dependency-groups"]


def entries(name):
    """Return the entries of a lock: the requirement, and the text of its hashes."""
    text = (ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9].*?) \\\n((?:    --hash=.*\n)+)", text, re.MULTILINE))


def requirements(group):
    """Yield the requirements of a dependency group, and of the groups that it includes."""
    for line in GROUPS[group]:
        if isinstance(line, dict):
            yield from requirements(line["include-group"])
        else:
            yield Requirement(line)


@pytest.mark.parametrize(
    ("name", "group", "dependencies"),
    [
        (NAMES[0], "build", PROJECT["project"]["dependencies"]),
        (NAMES[1], "dev", PROJECT["project"]["dependencies"]),
        (NAMES[2], "kernel", []),
    ],
)
def test_lock_has_every_dependency(name, group, dependencies):
    """Each dependency of pyproject.toml is locked to versions that it allows."""
    locked = {}
    for requirement in map(Requirement, entries(name)):
        locked.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    for wanted in [*map(Requirement, dependencies), *requirements(group)]:
        assert locked.get(wanted.name), f"{wanted} is not locked: run scripts/lock"
        assert all(map(wanted.specifier.contains, locked[wanted.name])), wanted


def test_development_has_all_that_running_has():
    """The lock for development has each entry of the lock for running, so that it can be installed on top."""
    assert entries(NAMES[0]).items() < entries(NAMES[1]).items()


@pytest.mark.parametrize("name", NAMES)
def test_locks_name_how_they_were_made(name):
    """The first lines name the command that writes the lock, and no line names an index."""
    text = (ROOT / name).read_text("utf-8")
    assert "#    scripts/lock\n" in text[:200]
    assert "://" not in text
    assert "index-url" not in text
