"""The reference of the campaign file describes every key."""

import re
from pathlib import Path

import pytest
from campaign_reference import TABLES, described

PAGE = (Path(__file__).parents[2] / "docs" / "campaign-file.md").read_text("utf-8")


def test_page_has_each_table():
    """The page has a reference of each table of the campaign file."""
    assert set(re.findall(r"^```\{campaign-keys\} (\w+)", PAGE, re.MULTILINE)) == set(TABLES)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_each_key_has_type_default_and_help(table):
    """Each key of a table has its type, its default or that it needs none, and at least a sentence of help."""
    model = TABLES[table]
    fields = {name: field for name, field in model.model_fields.items() if name != "options"}
    keys = {field.alias or name: field for name, field in fields.items()}
    entry = r"^\[`(\w+)`\]\{#.*\}\n: \[[`\w].* · (required|optional|default `.+`)\]\{\.facts\}\n\n  \S.* \S.*\."
    found = dict(re.findall(entry, described(model, fields, ""), re.MULTILINE))
    assert list(found) == list(keys)
    assert {key for key, default in found.items() if default == "required"} == {
        key for key, field in keys.items() if field.is_required()
    }
