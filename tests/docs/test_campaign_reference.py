"""The reference of the campaign file describes every key."""

import re
from pathlib import Path

import pytest

from documentation.campaign_keys import TABLES, keys_of

PAGE = (Path(__file__).parents[2] / "docs" / "campaign-file.md").read_text("utf-8")


def test_page_has_each_table():
    """The page has a reference of each table of the campaign file."""
    assert set(re.findall(r"^<!-- generated: keys (\w+)", PAGE, re.MULTILINE)) == set(TABLES)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_each_key_has_type_default_and_help(table):
    """Each key of a table has its type, its default or that it needs none, and at least a sentence of help."""
    fields = {name: field for name, field in TABLES[table].model_fields.items() if name != "options"}
    keys = {field.alias or name: field for name, field in fields.items()}
    lines = keys_of(table).replace("\n  ", " ")
    entry = r"^- \*\*`(\w+)`\*\* \([`\w].*? · (required|optional|default `.+?`)\): \S.* \S.*\."
    found = dict(re.findall(entry, lines, re.MULTILINE))
    assert list(found) == list(keys)
    assert {key for key, default in found.items() if default == "required"} == {
        key for key, field in keys.items() if field.is_required()
    }
