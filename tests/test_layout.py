"""The page about the layout names what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "layout.md").read_text("utf-8")
ROWS = re.findall(r"^\| `((?:search|model)/.*?)` \| .* \| (.*) \|$", PAGE, re.MULTILINE)
ANSWERS = re.findall(r"^\| .* \| \[`(.*\.py)`\]\(.*\) \| `(?:\w+\.)?(\w+)`.*\|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("folder", "cell"), ROWS)
def test_page_names_each_module_of_a_package(folder, cell):
    """Each package's row lists its modules and subpackages, and nothing else."""
    paths = [path for path in (ROOT / folder).rglob("*.py") if path.stem != "__init__"]
    named = {folder for folder, _ in ROWS}
    own = [
        path for path in paths if not any(f"{path.parent.relative_to(ROOT)}/" == other for other in named - {folder})
    ]
    assert set(re.findall(r"`(\w+)`", cell)) == {path.stem for path in own}


def test_page_names_each_package():
    """Each folder with modules has a row, or is a part of one that has."""
    packages = {path.parent.relative_to(ROOT) for top in ("search", "model") for path in (ROOT / top).rglob("*.py")}
    named = {Path(folder) for folder, _ in ROWS}
    assert all({package, package.parent} & named for package in packages)


@pytest.mark.parametrize(("file", "name"), ANSWERS)
def test_answers_are_true(file, name):
    """The file that answers a question defines the function or class that the answer names."""
    assert re.search(rf"^ *(def|class) {name}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE)


def test_ten_questions_are_answered():
    """None of the answers was left out above."""
    assert len(ANSWERS) == 10
