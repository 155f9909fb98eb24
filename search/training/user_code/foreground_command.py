"""One trial of the user's command in the foreground, to look at: what it prints is seen, and nothing is stored."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import Stage
from coarsefine.search.errors import NothingCompleted
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.user_code.command import load_command
from coarsefine.search.training.user_code.command_output import which_program
from coarsefine.search.training.user_code.command_process import not_started
from coarsefine.search.training.user_code.command_reports import (
    GrowingFile,
    Lines,
    ReportCounter,
    UnreadableReport,
    nothing_reported,
    reader_of,
)
from coarsefine.search.training.user_code.devices import trial_environment
from coarsefine.search.training.user_code.foreground import OnReport, Tried, trial_folder
from coarsefine.search.training.user_code.function_call import trial_variables
from coarsefine.search.training.user_code.report import Planned
from coarsefine.search.training.user_code.source_advice import advice
from coarsefine.search.training.user_code.trial_server import how_it_ended
from coarsefine.search.training.user_code.values import Judged

_BLOCK = 2**16
_LOOK_SECONDS = 0.05
"""Seconds between looks at the report file."""


def try_command(campaign: Campaign, stage: Stage, slot: Slot, on_report: OnReport) -> Tried:
    """Run the campaign's command for one trial; return how it ended.

    Raises `NothingCompleted` if it failed, and `CampaignError` if the command cannot be run.
    """
    assert campaign.command is not None, "the campaign has a command"  # noqa: S101
    command, epochs = load_command(campaign.command, campaign.folder), campaign.epochs_of(stage)
    count, last = 0, Judged()
    with trial_folder() as folder, tempfile.TemporaryDirectory(prefix="coarsefine-") as own:
        started = time.monotonic()
        planned = Planned(slot.number, slot.point.as_dict(), slot.seed, attempt=1, folder=folder)
        report = Path(own) / "report.jsonl" if campaign.parse is None else None
        try:
            words, variables = command.filled(planned, epochs, Path(own) / "point.json")
            variables |= trial_environment(campaign, stage, None)
            variables |= trial_variables(campaign.name, stage.name, epochs, [planned])
            variables |= {} if report is None else {"COARSEFINE_REPORT": str(report)}
            lines = _lines(words, command.folder, os.environ | variables, report)
            for count, last in _judged(lines, campaign):
                on_report(count, last)
        except (UnreadableReport, OSError) as error:
            raise NothingCompleted(f"The trial failed: {str(error).rstrip('.')}.") from error
        if not count:
            raise NothingCompleted(f"The trial failed: {nothing_reported(campaign.parse)}.")
    seconds = time.monotonic() - started
    return Tried(last, count, seconds, folder if folder.exists() else None, [*advice(campaign, command)])


def _judged(lines: Iterator[str], campaign: Campaign) -> Iterator[tuple[int, Judged]]:
    """Yield the number and the value of each report; raise `UnreadableReport` for one that fails a trial."""
    reports = ReportCounter(reader_of(campaign.parse, campaign.metric.name), campaign.metric.name)
    for judged in filter(None, map(reports.report_of, lines)):
        if judged.failure is not None:
            raise UnreadableReport(judged.failure)
        yield reports.count, judged


def _lines(words: list[str], folder: Path, environment: dict[str, str], report: Path | None) -> Iterator[str]:
    """Run a command; yield the lines of its report file, or without one those that it prints, which are shown, too.

    Raises `UnreadableReport` if it fails.
    """
    output = subprocess.PIPE if report is None else None
    try:
        started = subprocess.Popen(words, cwd=folder, env=environment, stdout=output)  # noqa: S603 - the user's own
    except OSError as error:
        raise UnreadableReport(not_started(words[0], error)) from error
    with started as process:
        try:
            yield from _printed(process) if report is None else _reported(process, GrowingFile(report))
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        which = which_program(words[0]) if words[0].startswith("python") and process.returncode == 1 else ""
        raise UnreadableReport(f"it {how_it_ended(process.returncode)}{which}")


def _printed(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    lines = Lines()
    assert process.stdout is not None, "it is a pipe"  # noqa: S101
    while data := os.read(process.stdout.fileno(), _BLOCK):
        sys.stdout.write(data.decode("utf-8", "replace"))
        sys.stdout.flush()
        yield from lines.add(data)
    yield from lines.end()


def _reported(process: "subprocess.Popen[bytes]", file: GrowingFile) -> Iterator[str]:
    while process.poll() is None:
        yield from file.new_lines()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
    yield from file.last_lines()
