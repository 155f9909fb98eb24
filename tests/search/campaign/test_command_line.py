"""The command that trains a trial: placeholders, environment variables, and the pattern of its values."""

import json
import math
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coarsefine.search.campaign.command_line import (
    FIXED,
    as_line,
    check_command,
    filled,
    read_pattern,
    text_of,
    variable_of,
)
from coarsefine.search.campaign.dimension import Choice, LogUniform

NAMES = ("lr", "hidden_size", "C", *FIXED)
PARAMETER = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z")
PLAIN = st.text(st.characters(exclude_characters="{}\0"))
PIECES = st.one_of(PLAIN, st.sampled_from([f"{{{name}}}" for name in NAMES]), st.just("{{"), st.just("}}"))


def space(*names):
    return {name: LogUniform(1e-3, 1.0) for name in names}


@given(st.lists(PIECES), st.fixed_dictionaries({name: st.text() for name in NAMES}))
def test_placeholders_are_filled_as_python_formats(pieces, values):
    """A template is filled as `str.format` would fill it, whatever the values contain, braces included."""
    template = "".join(pieces)
    check_command([template], space("lr", "hidden_size", "C"))
    assert filled(template, values) == template.format(**values)


@given(st.text())
def test_doubled_braces_keep_any_text(text):
    """Any text comes through unchanged if its braces are doubled."""
    escaped = text.replace("{", "{{").replace("}", "}}")
    check_command([escaped], {})
    assert filled(escaped, {}) == text


@given(st.text())
def test_what_is_checked_can_be_filled(text):
    """An argument is either refused with a sentence that quotes it, or can be filled."""
    values = dict.fromkeys(("lr", *FIXED), "x")
    message = None
    try:
        check_command([text], space("lr"))
    except ValueError as error:
        message = str(error)
    assert repr(text) in message if message else filled(text, values) == text.format(**values)


@given(st.lists(st.text(), min_size=1))
def test_line_of_a_command_can_be_divided_again(words):
    """A command as one line has the words that a shell would find in it."""
    assert shlex.split(as_line(words)) == words
    assert as_line(["bash", "a.sh", "{lr}", "--x={seed}"]) == "bash a.sh {lr} --x={seed}"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--rate={rate}", ["{rate}", "{lr}, {seed}, {folder}, {epochs}, {point_file}", "{{ and }}"]),
        ("{print $1}", ["{print $1}", "unknown"]),
        ("{}", ["placeholder {},"]),
        ("{lr:.3f}", ["{lr:.3f}"]),
        ("{lr", ["a single {", "write {{"]),
        ("lr}", ["a single }", "write }}"]),
    ],
)
def test_bad_placeholder_is_refused(argument, words):
    """An unknown placeholder is named with the known ones, and a single brace with how to write it."""
    with pytest.raises(ValueError, match="command") as refused:
        check_command(["train", argument], space("lr"))
    assert all(word in str(refused.value) for word in [*words, argument])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("lr", "seed"), ["seed", "another name"]),
        (("lr", "C", "LR"), ["lr and LR", "COARSEFINE_PARAM_LR"]),
        (("batch-size", "batch.size"), ["batch-size and batch.size", "COARSEFINE_PARAM_BATCH_SIZE"]),
    ],
)
def test_names_that_collide_are_refused(names, words):
    """Parameters may not share a variable, or have the name of another placeholder."""
    with pytest.raises(ValueError, match="name") as refused:
        check_command(["train"], space(*names))
    assert all(word in str(refused.value) for word in words)


def test_option_with_nul_is_refused():
    """An option that no program could receive as an argument is refused."""
    with pytest.raises(ValueError, match="an option of kind has a NUL"):
        check_command(["train"], {"kind": Choice(("a", "b\0"))})


@given(PARAMETER, PARAMETER)
def test_accepted_names_have_variables_of_their_own(one, other):
    """Two accepted names never share a variable; variables are upper-case and have one prefix."""
    assert variable_of(one) == f"COARSEFINE_PARAM_{one.upper()}"
    if one != other and not {one, other} & set(FIXED):
        try:
            check_command(["train"], space(one, other))
        except ValueError:
            assert variable_of(one) == variable_of(other)
        else:
            assert variable_of(one) != variable_of(other)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_real_numbers_are_exact(value):
    """A real number comes back bit for bit from its text, read by Python or as JSON."""
    assert math.copysign(1, float(text_of(value))) == math.copysign(1, value)
    assert float(text_of(value)) == json.loads(text_of(value)) == value


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (True, "true"), (False, "false"), ("a b", "a b"), (0.1, "0.1")])
def test_other_values_read_as_in_toml(value, text):
    """Whole numbers, truth values and texts are written as in TOML, texts without quotes."""
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("val_acc=(", "not a regular expression"), ("val_acc=(.*)", "a group with the name value"), ("", "a group")],
)
def test_pattern_without_a_value_is_refused(pattern, words):
    """A pattern must compile and have the group `value`."""
    with pytest.raises(ValueError, match=words):
        read_pattern(pattern)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_pattern_finds_any_number(value):
    """The documented pattern finds every number as Python prints it."""
    pattern = read_pattern(r"val_acc=(?P<value>[0-9.eE+-]+)")
    assert float(pattern.search(f"epoch 3: val_acc={value} (best)")["value"]) == value
