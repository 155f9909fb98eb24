"""Run a whole campaign in this process: `python -m benchmarks.single_process CAMPAIGN STORAGE DATA`."""

import sys
from pathlib import Path

from benchmarks.contenders.stage import run_alone

if __name__ == "__main__":
    run_alone(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
