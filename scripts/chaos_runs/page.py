"""The page `docs/faults.md`, with the results of a run."""

from typing import Any

from reproduction.markdown import bullets, table

_TEXT = """---
myst:
  html_meta:
    description: >-
      Fault injection: what remains of a search when its processes are killed, suspended or hung up, its disk is full,
      or its connections are cut, on SQLite and PostgreSQL.
---

# What faults cost

After this page you know what was broken on purpose in searches, how often, and what remained.

`scripts/chaos` runs campaigns, injects faults, and compares what is stored with an undisturbed run: the number of
trials, their states, and the value of every epoch, bit for bit. A fault's moment is drawn from the seed, as far as a
machine allows."""

_NOTES = """- **kill -9 of workers**, **time lost to a kill**: SIGKILL at random moments. The second row is the time
  that another worker takes to train the same trials further than the dead one had.
- **run killed at a stage boundary**: the run itself, before, within and after the transaction that opens the next
  stage.
- **SIGSTOP past the lease, awake**: a worker sleeps until others have taken its trials, then wakes up and writes.
- **clock 10 min ahead**, **crash in order**, **hang-up**, **kill -9 of a worker**, **stop**, **suspend for 10 min**:
  up to five faults in a run of two workers, drawn at random; the number is that of the faults. For the clock, all
  leases are moved ten minutes into the past, which is what processes find after the computer's clock was set; a
  suspended process is stopped meanwhile. A crash in order is an exception of the worker itself.
- **claim race**: processes claim one trial after another at the same time.
- **file-size limit**, **disk full**: at points spread over a run; then there is room again, and the run resumes.
- **connections cut**, **server restarted**: of PostgreSQL, several times in a stage.
- **trials a second**: claims and results of trials without cost, against Optuna's ask and tell."""


def write_page(*reports: dict[str, Any]) -> str:
    """Return the page of a run, or of several that share the faults, given what their JSON files contain."""
    columns = ("fault", "database", "number", "seen", "promised", "verdict")
    keys = ("what", "database", "n", "seen", "promised", "verdict")
    found = sorted((row for report in reports for row in report["rows"]), key=lambda row: row["what"])
    rows = [[str(row[key]) or "–" for key in keys] for row in found]
    broken = [line for row in found for line in row["broken"]]
    about = bullets(_about(report) for report in reports)
    parts = [_TEXT, "## The faults", _NOTES, "## What was seen", about, table(columns, rows), bullets(broken)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _about(report: dict[str, Any]) -> str:
    machine = report["machine"]
    return (
        f"{report['date']}, {machine['processor']}, {machine['cores']} cores, seed {report['seed']}, "
        f"{report['seconds'] / 60:.0f} minutes: `{report['command']}`"
    )
