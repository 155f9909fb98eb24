"""The results of a run as Markdown, for `docs/faults.md`."""

import datetime
from typing import Any

from reproduction.markdown import bullets, table


def write_page(report: dict[str, Any], command: str) -> str:
    """Return the table of a run, given what its JSON file contains, with its date, machine, seed and command."""
    machine = report["machine"]
    day = datetime.datetime.now(tz=datetime.UTC).date()
    about = (
        f"{day:%d %B %Y}, {machine['processor']}, {machine['cores']} cores, seed {report['seed']}, "
        f"{report['seconds'] / 60:.0f} minutes: `{command}`"
    )
    columns = ("fault", "database", "number", "seen", "promised", "verdict")
    keys = ("what", "database", "n", "seen", "promised", "verdict")
    rows = [[str(row[key]) or "–" for key in keys] for row in report["rows"]]
    broken = [line for row in report["rows"] for line in row["broken"]]
    return "\n\n".join(filter(None, [about, table(columns, rows), bullets(broken)])) + "\n"
