"""What trials and workers print: `coarsefine logs`, the lines beside a failure, and further metrics in tables."""

import os
import re

import pytest
from campaigns import write_campaign
from terminals import Terminal

from coarsefine import Campaign, run
from coarsefine.search.results.log_files import MOST_BYTES, Follower, read_end


@pytest.fixture(scope="module")
def talked(tmp_path_factory):
    """Search a function that prints, and fails for some seeds; return the storage and the status."""
    folder = tmp_path_factory.mktemp("talked")
    write_campaign(folder, "objective", objective="user_functions:talks", max_failures=9, confirm=None)
    return folder / "studies.db", run(Campaign.load(folder / "small.toml"), folder / "studies.db")


def test_log_of_a_trial_has_its_output_and_traceback(talked, cli):
    """`logs` prints what a trial printed below a heading and, if it failed, the traceback; followed or not."""
    storage, status = talked
    number, reason = status.stages[0].failure
    for follow in ((), ("--follow",)):
        code, out, error = cli("logs", "small", f"coarse#{number}", *follow, "--storage", storage)
        assert (code, error) == (0, "")
        lines = out.splitlines()
        assert lines[0].startswith(f"── coarse#{number}, attempt 1")
        assert re.fullmatch("epoch 1 at <b>(round|square)</b>", lines[1])
        assert "Traceback (most recent call last):" in lines
        assert lines[-1].startswith("OSError: cannot save")
    assert reason.startswith("OSError: cannot save")
    assert cli("logs", f"coarse#{number}", "--storage", storage)[1] == out


def test_failure_has_the_last_lines_of_its_log(talked, cli):
    """`status` prints the last lines of a failed trial's log, and the command that prints all of it."""
    storage, status = talked
    number, _ = status.stages[0].failure
    code, out, error = cli("status", "--storage", storage)
    assert code == 0, error
    assert "  │ OSError: cannot save" in out
    assert f"  All of it: coarsefine logs small 'coarse#{number}'" in out
    assert out.count("  │ epoch 6") == 0


def test_tables_have_the_further_metrics(talked, cli):
    """The tables of the best trials and of all trials have a column for each further metric."""
    storage, status = talked
    heading = next(line for line in cli("status", "--storage", storage)[1].splitlines() if line.startswith("trial "))
    assert heading.split() == ["trial", "a", "shape", "value", "f1", "seed"]
    assert status.stages[0].best[0].metrics == {"f1": 0.6}
    assert "f1" in cli("trials", "--storage", storage)[1].splitlines()[0].split()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("small", "coarse#99"), "There is no trial 'coarse#99'"),
        (("small", "coarse"), "'coarse' names no trial"),
        (("small",), "There are no logs of workers in"),
    ],
)
def test_missing_logs_are_refused(talked, cli, options, sentence):
    """A trial that does not exist, and workers without logs, are refused in a sentence."""
    code, out, error = cli("logs", *options, "--storage", talked[0])
    assert (code, out) == (2, "")
    assert error.startswith(sentence)


def test_logs_of_workers_are_printed_from_their_last_lines(copied, tmp_path, cli):
    """Without a trial, the last lines of each worker's log are printed below the name of its file."""
    logs = tmp_path / "logs" / "small"
    logs.mkdir(parents=True)
    for worker in (1, 2):
        (logs / f"worker-{worker}.log").write_text("".join(f"{worker} line {n}\n" for n in range(30)), "utf-8")
    code, out, error = cli("logs", "--storage", copied)
    assert (code, error) == (0, "")
    first, second = out.split("\n\n")
    assert first.splitlines() == [f"==> {logs}/worker-1.log <==", *(f"1 line {n}" for n in range(10, 30))]
    assert second.splitlines()[1:] == [f"2 line {n}" for n in range(10, 30)]


def test_trial_of_the_network_has_no_log(copied, cli):
    """Trials of the network print nothing: the sentence names the workers' logs."""
    code, _, error = cli("logs", "small", "coarse#0", "--storage", copied)
    assert code == 2
    assert error.startswith("Trials of the built-in network have no logs: `coarsefine logs small` prints those of")


def test_log_without_output_is_said_to_be_missing(talked, tmp_path, cli):
    """If the log is not there, the sentence says what trained the trial and where the log would be."""
    storage, _ = talked
    log = storage.parent / "logs/small/trials/fine-0.log"
    log.rename(tmp_path / "kept")
    try:
        code, _, error = cli("logs", "small", "fine#0", "--storage", storage)
    finally:
        (tmp_path / "kept").rename(log)
    assert code == 2
    assert re.match(rf"There is no log of fine#0 at {log}: .* It was trained by \S+:\d+", error)


def test_end_of_a_log_is_plain_text(tmp_path):
    """Colours and control characters are left out, and of a line that was overwritten its last state is kept."""
    log = tmp_path / "trials" / "coarse-0.log"
    log.parent.mkdir()
    log.write_bytes(b"10 %\r50 %\r100 %\r\n\x1b[1;31mred\x1b[0m\x07 \xff\n\x1b]0;title\x07plain\n")
    end = read_end(log, tmp_path)
    assert end.lines == ("100 %", "red \ufffd", "plain", "")
    assert end.is_whole


def test_long_log_is_read_from_its_end(tmp_path):
    """Of a long log only the end is read, from the beginning of a line."""
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {n}\n" for n in range(50_000)), "utf-8")
    end = read_end(log, tmp_path)
    assert (end.size, end.is_whole) == (log.stat().st_size, False)
    assert MOST_BYTES - 20 < len("\n".join(end.lines)) <= MOST_BYTES
    assert re.fullmatch(r"line \d+", end.lines[0])
    assert end.lines[-2:] == ("line 49999", "")


def test_links_and_pipes_are_not_read(tmp_path):
    """User code can write into the folder of logs: a link, a linked folder and a pipe are not read as logs."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "coarse-0.log").write_text("secret", "utf-8")
    folder = tmp_path / "logs"
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "coarse-0.log").symlink_to(secret / "coarse-0.log")
    os.mkfifo(folder / "trials" / "coarse-1.log")
    assert [read_end(folder / "trials" / f"coarse-{n}.log", folder) for n in range(3)] == [None] * 3
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "trials").symlink_to(secret)
    assert read_end(linked / "trials" / "coarse-0.log", linked) is None


def test_long_log_is_printed_whole(talked, cli):
    """`logs` prints a log of many blocks whole, wherever they end; files and pipes get the codes of a terminal."""
    storage, _ = talked
    log = storage.parent / "logs/small/trials/fine-1.log"
    before = log.read_bytes()
    text = "é" * 200_001 + "\n" + "".join(f"line \x1b[31m{n} ü\x1b[0m\n" for n in range(30_000)) + "end"
    log.write_text(text, "utf-8")
    try:
        printed = [cli("logs", "small", "fine#1", *options, "--storage", storage)[1] for options in ((), ("--follow",))]
    finally:
        log.write_bytes(before)
    assert printed[0] == printed[1] == text


def test_log_on_a_terminal_has_no_codes(talked):
    """On a terminal, `logs` leaves out escape sequences and control characters, which could change its state."""
    storage, _ = talked
    log = storage.parent / "logs/small/trials/fine-1.log"
    before = log.read_bytes()
    log.write_bytes(b"10 %\r100 %\n\x1b[1;31mred\x1b[0m\x07\tplain\x1b]0;title\x07\n")
    try:
        terminal = Terminal(storage.parent, "logs", "small", "fine#1", apart=False)
        terminal.finish()
    finally:
        log.write_bytes(before)
    assert terminal.raw == b"10 %\r100 %\r\nred\tplain\r\n"


def test_follower_returns_what_is_new(tmp_path):
    """A follower returns what was appended since the last time, of files that appear later, too."""
    first, second = tmp_path / "1.log", tmp_path / "2.log"
    follower = Follower(lambda: sorted(tmp_path.glob("*.log")))
    first.write_bytes(b"one\n")
    assert follower.new() == {first: b"one\n"}
    assert follower.new() == {}
    with first.open("ab") as file:
        file.write(b"two\n")
    second.write_bytes(b"other\n")
    assert follower.new() == {first: b"two\n", second: b"other\n"}
    first.write_bytes(b"a\n")  # another file, shorter than before
    assert follower.new() == {first: b"a\n"}
