"""The page about the layout matches the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "layout.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `((?:search|model)/.*?)` \| .* \| (.*) \|$", PAGE, re.MULTILINE))
ANSWERS = re.findall(r"^\| .* \| \[`(.*\.py)`\]\(.*\) \| `(?:\w+\.)?(\w+)`.*\|$", PAGE, re.MULTILINE)


def row_of(path):
    """Return the innermost parent folder that has a row."""
    return next(name for parent in path.relative_to(ROOT).parents if (name := f"{parent}/") in ROWS)


@pytest.mark.parametrize("folder", ROWS)
def test_page_names_each_module_of_a_package(folder):
    """The row of a package lists its modules and those of its subpackages, and nothing else."""
    paths = [path for path in (ROOT / folder).rglob("*.py") if path.stem != "__init__" and row_of(path) == folder]
    assert set(re.findall(r"`(\w+)`", ROWS[folder])) == {path.stem for path in paths}


def test_page_names_each_package():
    """Each folder with modules, or its parent, has a row."""
    packages = {path.parent.relative_to(ROOT) for top in ("search", "model") for path in (ROOT / top).rglob("*.py")}
    named = set(map(Path, ROWS))
    assert all({package, package.parent} & named for package in packages)


@pytest.mark.parametrize(("file", "name"), ANSWERS)
def test_answers_are_correct(file, name):
    """The file that answers a question defines the function or class that the answer names."""
    assert re.search(rf"^ *(def|class) {name}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE)


def test_ten_questions_are_answered():
    """The page answers at least ten questions."""
    assert len(ANSWERS) >= 10
