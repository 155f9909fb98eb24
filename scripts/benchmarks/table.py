"""Print the results as a table."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.findings import Finding, Row, Target
from benchmarks.measure import Spread

_PLAIN_BELOW, _WHOLE_ABOVE = 1.0, 100.0


def print_findings(findings: Sequence[Finding], heading: str) -> None:
    """Print all rows on stdout, with targets next to figures."""
    table = Table("what", "median (min–max)", "n", "ours is faster by", "target", "", "how", box=box.SIMPLE)
    table.title, table.title_justify = heading, "left"
    table.columns[0].no_wrap = True
    for finding in findings:
        table.add_section()
        table.add_row(f"[bold]{finding.title}[/bold]")
        for row in finding.rows:
            table.add_row(*_cells(row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a file has no right margin
    console.print(table)
    for finding in findings:
        for error in finding.errors:
            console.print(f"NOT VALID: {error}", markup=False, style="bold red")


def _cells(row: Row) -> tuple[str, ...]:
    value = _figure(row.value, row.unit) if row.value else "–"
    times = f"{row.ratio:.2f} ×" if row.ratio else ""
    n = str(row.value.n) if row.value else ""
    return row.what, value, n, times, _limit(row), row.verdict or "", row.note


def _limit(row: Row) -> str:
    if row.target is None:
        return ""
    sign = "≥" if row.target.kind == "at least" else "≤"
    return f"{sign} {_target(row, row.target)}"


def _target(row: Row, target: Target) -> str:
    if row.ratio or (row.value is None and row.unit == "s"):
        return f"{target.limit:g} ×"
    return f"{target.limit:g} {row.unit}".strip()


def _figure(spread: Spread, unit: str) -> str:
    digits = 0 if spread.median >= _WHOLE_ABOVE else 1 if spread.median >= _PLAIN_BELOW and unit != "s" else 3
    return f"{spread:.{digits}f} {unit}".strip()
