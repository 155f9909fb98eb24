"""Build the source archive and the wheels of all platforms, each with the kernel's libraries of that platform.

Zig compiles the kernel: it is the one compiler that can do so for all platforms from any of them, and for old systems.
hatch_build.py puts the libraries into the wheel.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from coarsefine.model.kernel.compilers import PLATFORMS, BuildError, download_zig

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements-kernel.lock"
TAGS = [platform.tag for platform in PLATFORMS]


def main() -> int:
    """Build what is asked for; return the exit code."""
    parser = argparse.ArgumentParser("scripts/wheels", description="Build all wheels and the source archive.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist", help="folder for the files, or dist")
    parser.add_argument("--only", choices=TAGS, nargs="+", default=TAGS, metavar="TAG", help=f"of {', '.join(TAGS)}")
    given = parser.parse_args()
    folder = given.folder.absolute()
    with tempfile.TemporaryDirectory(prefix="coarsefine-zig-") as zig:
        try:
            if find_spec("ziglang") is None:
                print("Downloading Zig", flush=True)
                download_zig(Path(zig), LOCK)
            build_archive(folder)
            for tag in given.only:
                build_wheel(folder, tag, zig)
        except BuildError as error:
            print(f"{error.log}Not all wheels are built: {error}.", file=sys.stderr)
            return 1
    return 0


def build_archive(folder: Path) -> None:
    """Build the source archive into a folder."""
    hatch("sdist", folder, {})


def build_wheel(folder: Path, tag: str, zig: str) -> None:
    """Build the wheel of one platform into a folder, with the Zig that is installed, or is in the folder `zig`."""
    path = os.pathsep.join(filter(None, (zig, os.environ.get("PYTHONPATH"))))
    hatch("wheel", folder, {"COARSEFINE_WHEEL": tag, "PYTHONPATH": path})


def hatch(target: str, folder: Path, environment: dict[str, str]) -> None:
    """Build a target with hatchling, which prints the path of the file. Raises `BuildError`."""
    command = [sys.executable, "-P", "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False)
    if done.returncode:
        raise BuildError(f"hatchling failed with exit code {done.returncode} for the target {target}")


if __name__ == "__main__":
    sys.exit(main())
