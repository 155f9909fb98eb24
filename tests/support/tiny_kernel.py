"""A copy of the kernel's package whose C source takes no time to compile, and a stand-in for Zig."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tiny_wheels import write_wheel
from wanted import want

ROOT = Path(__file__).parents[2]
SOURCE = """
#include <stdint.h>
#define PUBLIC __attribute__((visibility("default")))
PUBLIC const char *kernel_sources(void) { return KERNEL_SOURCES; }
PUBLIC int32_t kernel_interface(void) { return 1; }
PUBLIC int32_t kernel_runs_here(void) { return 1; }
"""
PROGRAMS = ("sh", "dirname", "head", "cat", "env")
"""What scripts need that are no compilers."""


def copy_package(root):
    """Copy to `root` what compiles and loads the kernel, with the tiny source."""
    package = Path("src/coarsefine")
    for name in (f"{package}/__init__.py", f"{package}/_shadowing.py", "model/__init__.py", "model/errors.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    kernel = root / "model/kernel"
    shutil.copytree(ROOT / "model/kernel", kernel, ignore=shutil.ignore_patterns("libraries", "source", "__pycache__"))
    (root / package / "model").symlink_to("../../model")
    (kernel / "source").mkdir()
    (kernel / "source/kernel.c").write_text(SOURCE, "utf-8")


def find_cc():
    """Return the path of this machine's C compiler; without one, skip the test, or fail it in CI."""
    return shutil.which("cc") or want("There is no C compiler: install gcc.")


def programs_without_cc(folder):
    """Make a folder that has the programs that scripts need, and no compiler; return it."""
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(shutil.which(name))
    return folder


def write_zig(folder):
    """Write the wheel of a package `ziglang` to a folder, and a lock that pins it; return the lock.

    Its program calls this machine's compiler, and adds its arguments to the file that ZIG_CALLS names.
    """
    text = f"""#!/bin/sh
echo "$@" >> "${{ZIG_CALLS:-/dev/null}}"
[ "$1 $2 $3" = "cc -g0 -target" ] || exit 9
shift 4
export PATH="{os.environ["PATH"]}"
exec {shutil.which("cc") or "false"} "$@"
"""
    wheel = write_wheel(folder, "ziglang", program=("zig", text))
    lock = folder / "requirements-kernel.lock"
    lock.write_text(f"ziglang==1 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n", "utf-8")
    return lock


class TinyCheckout:
    """A checkout that has the kernel's package alone, with the tiny source."""

    def __init__(self, root):
        self.root = root
        self.kernel = root / "model/kernel"
        self.source = self.kernel / "source/kernel.c"

    @classmethod
    def made(cls, root):
        """Make one without libraries."""
        copy_package(root)
        return cls(root)

    def copied(self, root):
        """Copy this one with its libraries."""
        return TinyCheckout(Path(shutil.copytree(self.root, root, symlinks=True)))

    def change(self, old, new):
        """Change the source."""
        self.source.write_text(self.source.read_text("utf-8").replace(old, new), "utf-8")

    def path(self, name):
        """Return the path of the library for an instruction set, on Linux."""
        return self.kernel / "libraries" / f"kernel-{name}.so"

    def build(self, *options, code=0, **environment):
        """Run the command that builds the kernel; return what it printed to stdout, or to stderr if it fails."""
        done = self.run("-m", "coarsefine.model.kernel.build", *map(str, options), **environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    def run(self, *arguments, **environment):
        """Run Python with this package; pip finds the packages in the checkout alone. Return the completed process."""
        given = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "COARSEFINE_"))}
        index = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.root)}
        return subprocess.run(
            [sys.executable, "-P", *arguments], cwd=self.root, capture_output=True, text=True, check=False, timeout=240,
            env=given | index | {"PYTHONPATH": str(self.root / "src")} | environment,
        )  # fmt: skip
