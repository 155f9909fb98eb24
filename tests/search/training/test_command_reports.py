"""What a command reports, in its report file and in its output."""

import itertools
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coarsefine.search.training.user_code.command_reports import (
    GrowingFile,
    Lines,
    ReportLine,
    UnreadableReport,
    json_reader,
    pattern_reader,
)

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PATTERN = re.compile(r"(?:epoch (?P<epoch>\S+) )?acc=(?P<value>[0-9.eE+-]+)(?: loss=(?P<loss>\S+))?")


@given(NUMBER, NUMBER, st.integers(1, 99))
def test_line_of_json_has_a_value_metrics_and_an_epoch(value, loss, epoch):
    """Each key of a line but the value's and the epoch's is a further metric; the numbers are exact."""
    line = json.dumps({"value": value, "loss": loss, "epoch": epoch})
    assert json_reader("value")(line) == ReportLine(value, {"loss": loss}, epoch)


def test_key_of_the_metric_is_the_value():
    """The key that the campaign names as its metric is the value; `value` is, without that key."""
    read = json_reader("val_loss")
    assert read('{"val_loss": 0.2, "acc": 0.9}') == ReportLine(0.2, {"acc": 0.9})
    assert read('{"value": 0.2, "acc": 0.9}') == ReportLine(0.2, {"acc": 0.9})


@pytest.mark.parametrize(("line", "report"), [("0.93", ReportLine(0.93, {})), ("", None), ("  ", None)])
def test_number_alone_is_a_value(line, report):
    """A line with just a number is a value, and an empty line is nothing."""
    assert json_reader("value")(line) == report


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("acc=0.9", "'acc=0.9' is not a line of JSON"),
        ('{"value": 0.9', "is not a line of JSON"),
        ("[" * 10**5, "is not a line of JSON"),
        ('{"acc": 0.9}', "has no key 'value'"),
        ('{"value": 0.9, "epoch": "3"}', "has an epoch that is no whole number"),
        ('{"value": 0.9, "epoch": true}', "has an epoch that is no whole number"),
    ],
)
def test_other_lines_are_refused(line, words):
    """A line that is no report is quoted in the reason."""
    with pytest.raises(UnreadableReport, match=words):
        json_reader("value")(line)


def test_missing_value_names_both_keys():
    """A line without a value names the two keys that may hold it."""
    with pytest.raises(UnreadableReport, match="no key 'val_loss' or 'value'"):
        json_reader("val_loss")('{"acc": 0.9}')


@given(st.text(), st.sampled_from(["value", "val_loss"]))
def test_any_line_is_a_report_or_refused(line, metric):
    """No line of a report file raises anything else."""
    message = "its report "
    try:
        json_reader(metric)(line)
    except UnreadableReport as refused:
        message = str(refused)
    assert message.startswith("its report ")


@given(NUMBER, NUMBER, st.integers(1, 99))
def test_groups_of_a_pattern_are_value_metrics_and_epoch(value, loss, epoch):
    """The named groups of a match are the value, the epoch and further metrics; the numbers are exact."""
    line = f"  epoch {epoch} acc={value!r} loss={loss!r} 12.3 s"
    assert pattern_reader(PATTERN)(line) == ReportLine(value, {"loss": loss}, epoch)


def test_groups_without_a_match_are_left_out():
    """A group that took no part in the match is no metric; a line that does not match is no report."""
    read = pattern_reader(PATTERN)
    assert read("acc=0.9") == ReportLine(0.9, {})
    assert read("loss=0.3") is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("acc=1-2", "matched '1-2' as its value, which is no number"),
        ("acc=1 loss=low", "matched 'low' as its loss"),
        ("epoch 1.5 acc=1", "matched '1.5' as its epoch, which is no whole number"),
    ],
)
def test_matched_text_must_be_a_number(line, words):
    """A group that matches no number fails the trial, with the text and the group."""
    with pytest.raises(UnreadableReport, match=words):
        pattern_reader(PATTERN)(line)


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(LINE, LINE_ENDS)), LINE, st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_bytes_arrive(lines, last, cuts):
    """The same lines come out however the bytes are divided; the last one may lack its end."""
    data = ("".join(line + end for line, end in lines) + last).encode()
    places = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    reader = Lines()
    found = [line for start, end in itertools.pairwise(places) for line in reader.add(data[start:end])]
    assert found + reader.end() == [line for line in [*(line for line, _ in lines), last] if line]


def test_endless_line_takes_no_memory():
    """Of a line that never ends nothing is kept, and the lines after it are read."""
    reader = Lines()
    for _ in range(100):
        assert reader.add(b"x" * 10_000) == []
    assert len(reader._rest) <= 2**16
    assert reader.add(b"x\nacc=0.9\n") == ["acc=0.9"]


def test_file_is_read_as_it_grows(tmp_path):
    """Each line of a growing file is returned once, when it is complete, or at the end."""
    file, reader = tmp_path / "report", GrowingFile(tmp_path / "report")
    assert reader.new_lines() == []
    with file.open("a") as writer:
        for text, lines in (("1\n2", ["1"]), ("3\n", ["23"]), ("", []), ("4\n5", ["4"])):
            writer.write(text)
            writer.flush()
            assert reader.new_lines() == lines
    assert reader.last_lines() == ["5"]
    assert reader.last_lines() == []


def test_file_written_anew_is_read_from_its_start(tmp_path):
    """A program that writes its whole report anew each time is read as far as its lines can be told apart."""
    file, reader = tmp_path / "report", GrowingFile(tmp_path / "report")
    file.write_text("0.125\n")
    assert reader.new_lines() == ["0.125"]
    file.write_text("0.5\n")
    assert reader.new_lines() == ["0.5"]


def test_file_of_megabytes_is_read_whole(tmp_path):
    """All lines of a large file are read at its end, including those after one that is too long."""
    (tmp_path / "report").write_text("1\n" * 10**6 + "x" * 3 * 10**6 + "\n2")
    assert GrowingFile(tmp_path / "report").last_lines() == [*["1"] * 10**6, "2"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipe_in_the_place_of_a_report_file_holds_nothing(tmp_path):
    """A pipe without a writer, or a device without an end, does not hold up the worker: there are no reports in it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        assert GrowingFile(tmp_path / name).last_lines() == []
