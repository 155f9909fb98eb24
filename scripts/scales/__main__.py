"""Measure how Coarsefine does with 100,000 trials, with more workers than cores, and with many campaigns in a file.

The script prints, and writes as JSON, a row for each measurement with its bound. Times are compared within one run,
in turns, since they depend on the machine and on what else it does; memory is the most that each process held.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy

from chaos_runs.places import NAMES, databases
from scales.findings import Row
from scales.measures import MEASURES


def main() -> None:
    """Measure, print and write."""
    wanted = parse()
    began = time.monotonic()
    about = machine()
    print(f"{about['date']}, {about['processors']} processors, {about['system']}, load {about['load_average'][0]:.2f}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        known = databases(Path(folder), wanted.databases, None)
        try:
            for name in wanted.only:
                for database in known.names:
                    for row in MEASURES[name](wanted, known, database):
                        rows.append(row)
                        print(row.text, flush=True)
        finally:
            known.close()
    print(f"{sum(row.kept for row in rows)} of {len(rows)} bounds kept, in {time.monotonic() - began:.0f} s")
    asked = {key: value for key, value in vars(wanted).items() if key != "json"}
    report = {"machine": about, "asked": asked, "rows": [row.as_dict() for row in rows]}
    wanted.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/scale", description=(__doc__ or "").partition("\n")[0])
    quick = "--quick" in sys.argv
    parser.add_argument("--quick", action="store_true", help="small, to see that it works")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="measure these alone")
    parser.add_argument("--databases", nargs="+", choices=NAMES, default=list(NAMES[:1] if quick else NAMES))
    parser.add_argument("--trials", type=int, default=300 if quick else 100_000, help="of the large campaign")
    parser.add_argument("--claims", type=int, default=10 if quick else 90, help="to time where many and few wait")
    parser.add_argument("--workers", type=int, default=2 if quick else 16, help="of the crowd")
    parser.add_argument("--slots", type=int, default=20 if quick else 1000, help="of the crowd")
    parser.add_argument("--campaigns", type=int, default=3 if quick else 200, help="in one file")
    parser.add_argument("--seeds", type=int, default=10 if quick else 1000, help="of [confirm]")
    parser.add_argument("--rounds", type=int, default=1 if quick else 3, help="of each measurement")
    parser.add_argument("--json", type=lambda text: Path(text).absolute(), default=Path("scale.json").absolute())
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """Return the machine, and its load before the measurement."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlalchemy": sqlalchemy.__version__,
        "processors": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
