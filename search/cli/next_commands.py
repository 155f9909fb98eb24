"""What commands print after a campaign's status: the commands that may come next, and changes of the user's code."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from coarsefine.search.cli.output import opened, print_json, program, say, storage_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coarsefine.search.results.status import Status
    from coarsefine.search.results.study import Study
    from coarsefine.search.training.user_code.source_file import Change

_NAMED = 3
"""The most campaigns, the newest, for which a command is suggested."""


def _change_of(status: "Status", folder: Path | None = None) -> "Change | None":
    """Return how the objective's file, which may be in the campaign's `folder`, has changed; None if it has not."""
    from coarsefine.search.training.user_code.code_change import change_of

    return change_of(status.stages[0].attrs.get("objective"), folder)


def say_if_changed(status: "Status", storage: str, folder: Path | None = None) -> None:
    """Say if the objective's file is no longer the one that gave the results, or what decides bits has changed."""
    from coarsefine.search.results.commands import command
    from coarsefine.search.storage.location import locate

    if change := _change_of(status, folder):
        say(change.sentence(command("status", status.campaign, locate(storage)), done=status.state == "done"))
    changed = _versions_of(status)[1] if status.state != "done" else []
    if changed:
        say(
            f"{status.campaign} was started with something else: {'; '.join(changed)}. To go on with what is here, "
            "give `run` the option --accept-changes, which records both."
        )


def show_changes(status: "Status", *, as_json: bool) -> None:
    """Print the changes of the objective's file that were accepted, and the one that was not."""
    from coarsefine.search.terminal.console import print_line
    from coarsefine.search.training.user_code.code_change import why_unknown

    change, unknown = _change_of(status), why_unknown(status.stages[0].attrs.get("objective"))
    shown = ("time", "from", "to", "diff")
    accepted = [{key: each.get(key) for key in shown} for each in status.stages[0].attrs.get("accepted", [])]
    if unknown is not None:
        say(unknown)
    if as_json:
        print_json({"accepted": accepted, "present": change.diff if change else None})
        return
    for each in accepted:
        print_line(f"Accepted {each['time']}:")
        print_line(each["diff"] or "The earlier version was not kept.")
    if change is not None:
        print_line("Not accepted:")
        kept = "The earlier version was not kept, or only its line ends differ."
        print_line(change.diff or f"{change.subject} {change.verb} changed. {kept}")
    elif not accepted and unknown is None:
        print_line("The code has not changed.")


def print_several(storage: str, word: str) -> bool:
    """Print the campaigns of a storage and how to name one, if there are several; return whether it has several."""
    from coarsefine.search.results.campaign_studies import campaign_names
    from coarsefine.search.results.listing import read_campaigns
    from coarsefine.search.terminal.campaign_table import print_campaigns

    with opened(storage) as studies:
        names = campaign_names(studies)
        if len(names) <= 1:
            return False
        found, problems = read_campaigns(studies)
    print_campaigns(found)
    for problem in problems:
        say(problem)
    print_next(*(f"{program()} {word} {shlex.quote(name)}{storage_option(storage)}" for name in names[-_NAMED:]))
    return True


def campaign_words(status: "Status", storage: str) -> str:
    """Return a campaign and its storage as arguments of a command."""
    return f"{shlex.quote(status.campaign)}{storage_option(storage)}"


def retry_line(status: "Status", storage: str) -> list[str]:
    """Return the command line that puts failed trials back, with their number, if there are any that can be."""
    from coarsefine.search.campaign.words import counted

    stages = status.retriable
    failed, diverged = (sum(getattr(stage, kind) for stage in stages) for kind in ("failed", "diverged"))
    if not (failed or (diverged and status.sources and status.state == "failed")):
        return []
    words = f"{campaign_words(status, storage)}{'' if failed else ' --diverged'}"
    return [f"{program()} retry {words}   (puts {counted(failed or diverged, 'failed trial')} back)"]


def refuse_mostly_failed(status: "Status", storage: str) -> None:
    """Raise `MostlyFailed` if at least half of the trials of a stage failed, whatever the others have found."""
    stages = [stage for stage in status.stages if stage.mostly_failed]
    counts = [(stage.study, stage.failed, stage.trials) for stage in stages]
    _refuse(status.campaign, counts, storage, retriable=any(stage in status.retriable for stage in stages))


def refuse_mostly_failed_studies(campaign: str, studies: "Iterable[Study]", storage: str) -> None:
    """Do what `refuse_mostly_failed` does, given the studies of stages that have ended."""
    from coarsefine.search.results.study import is_past_retry

    found = [*studies]
    known, failed = [study.attrs for study in found], [study for study in found if study.mostly_failed]
    counts = [(study.name, study.failed, study.planned) for study in failed]
    _refuse(campaign, counts, storage, retriable=any(not is_past_retry(study.attrs, known) for study in failed))


def _refuse(campaign: str, counts: "Iterable[tuple[str, int, int]]", storage: str, *, retriable: bool) -> None:
    """Raise `MostlyFailed` for studies, each with how many of its trials failed, of how many; nothing without any."""
    from coarsefine.search.errors import MostlyFailed
    from coarsefine.search.results.commands import to_continue
    from coarsefine.search.storage.location import locate

    named = [f"{failed} of {trials} trials of {study}" for study, failed, trials in counts]
    if named:
        remedy = (
            to_continue(campaign, locate(storage))
            if retriable
            else "Fix the cause, and start the campaign under another name."
        )
        raise MostlyFailed(f"{', '.join(named)} failed, so the campaign does not count as done. {remedy}")


def resume_line(status: "Status", storage: str) -> str:
    """Return the command line that continues a campaign, with what is to be installed before."""
    missing, changed = _versions_of(status)
    option = " --accept-changes" if changed or _change_of(status) else ""
    first = f"install {' and '.join(missing)}, then: " if missing else ""
    return f"{first}{program()} run {campaign_words(status, storage)}{option}"


def _versions_of(status: "Status") -> tuple[list[str], list[str]]:
    """Return the packages that are missing here, and the versions that have changed, each in words."""
    from coarsefine.search.training.identity import missing_or_changed
    from coarsefine.search.training.version_changes import samplers_left

    opened = [stage.attrs for stage in status.stages if stage.attrs]
    left = samplers_left(opened)
    for attrs in opened:
        if any(found := missing_or_changed(attrs, left)):
            return found
    return [], []


def print_next(*lines: str) -> None:
    """Print command lines that may come next."""
    from coarsefine.search.terminal.console import print_line

    for line, start in zip(lines, ["Next: ", *["      "] * len(lines)], strict=False):
        print_line(f"{start}{line}")


def print_next_commands(status: "Status", storage: str) -> None:
    """Print the commands for a campaign that is done."""
    campaign = campaign_words(status, storage)
    after = (
        f"predict {shlex.quote(status.final.folder)} IMAGE.png"
        if status.final is not None
        else f"export {campaign} --as params"  # of an objective
    )
    lines = (f"best {campaign}", f"serve{storage_option(storage)}", after)
    print_next(*(f"{program()} {line}" for line in lines), *retry_line(status, storage))
