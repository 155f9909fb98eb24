"""A trial's bits are the same in any stack, on any number of threads, by any compiler, for any processor."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from kernel_digests import DIGESTS, digests
from wanted import want

from coarsefine.model.kernel.instruction_sets import instruction_sets_of
from coarsefine.model.kernel.library import open_library
from coarsefine.model.kernel.stack import KernelArithmetic

PROGRAM = Path(__file__).with_name("digests.c")
FLAGS = ("-std=gnu11", "-pthread", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
COMPILERS = {
    "portable": ("cc", "-O1"),
    "sanitized": ("cc", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-mavx2", "-mfma"),
    "aarch64": ("aarch64-linux-gnu-gcc", "-O2", "-static"),
}
"""Builds besides the libraries: without fused multiply-add, with sanitizers, for another processor."""


@pytest.fixture(params=[each.name for each in instruction_sets_of()])
def library(request):
    """Return the library of each instruction set that this processor has."""
    found = open_library(request.param)
    if found is None:
        pytest.skip(f"this processor has no {request.param}")
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", DIGESTS)
def test_bits_do_not_depend_on_the_stack(library, precision, threads):
    """A trial has the same bits alone, in stacks of 5, 16 and 37, in any order, with one and two threads."""
    arithmetic, expected = KernelArithmetic(library, threads), DIGESTS[precision]
    for trials in ([3], [0, 1, 2, 3, 4], [4, 2, 0, 1, 3], [0, 1, 2, 3] * 4, [*range(5)] * 7 + [1, 4]):
        assert digests(arithmetic, precision, trials) == [expected[trial] for trial in trials]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a function that builds the C program, once in each way, and returns the command that runs it."""

    @cache
    def build(name):
        compiler, *own_flags = COMPILERS[name]
        emulator = ["qemu-aarch64"] if name == "aarch64" else []
        for program in (compiler, *emulator):
            if shutil.which(program) is None:
                want(f"{program} is missing: it builds or runs the kernel for this test.")
        path = tmp_path_factory.mktemp(name) / "digests"
        subprocess.run([compiler, *FLAGS, *own_flags, str(PROGRAM), "-o", str(path), "-lm"], check=True)
        return [*emulator, str(path)]

    return build


@pytest.mark.parametrize("build", COMPILERS)
def test_bits_do_not_depend_on_the_build(built, build):
    """The C program prints the same digests built in other ways; the sanitizers find nothing."""
    result = subprocess.run(built(build), env={"PATH": os.environ["PATH"]}, check=True, capture_output=True, text=True)
    lines = [f"{precision} {trial} {crc}" for precision in DIGESTS for trial, crc in enumerate(DIGESTS[precision])]
    assert result.stdout.splitlines() == lines


def test_exponential_and_logarithm_are_as_exact_as_stated(built):
    """In both precisions eˣ is wrong by less than 1 unit in the last place, and ln x by less than 3."""
    result = subprocess.run([*built("portable"), "errors"], check=True, capture_output=True, text=True)
    for line in result.stdout.splitlines():
        exponential, logarithm = map(float, line.split())
        assert 0 < exponential < 1
        assert 0 < logarithm < 3
