"""The library of this processor is found and loaded; one that is missing, foreign or of other sources is refused."""

import os
import platform
import shutil
import subprocess
import sys

import pytest
from commands import drop_root_access
from tiny_kernel import TinyCheckout, find_cc

from coarsefine.model.errors import KernelError
from coarsefine.model.kernel.instruction_sets import instruction_sets_of
from coarsefine.model.kernel.library import INTERFACE, load, open_library, why_none

HERE = [each.name for each in instruction_sets_of()]
OTHER = "aarch64" if "aarch64" not in HERE else "x86-64-v4"
UNSET = "Unset it to use the fastest kernel here."
SHOW = """
from coarsefine.model.errors import KernelError
from coarsefine.model.kernel.library import load, why_none, why_not_faster
try:
    library = load()
    print(f"{library.instruction_set} {library.path}" if library else f"none: {why_none()}", why_not_faster())
except KernelError as error:
    print(f"{error.exit_code}: {error}")
"""
pytestmark = pytest.mark.skipif(not HERE, reason=f"there is no kernel for {platform.system()} on {platform.machine()}")


def found_by(checkout, **environment):
    """Return what a process finds: the instruction set and the path, the reason for none, or an error."""
    done = checkout.run("-c", SHOW, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a checkout whose libraries are built."""
    find_cc()
    checkout = TinyCheckout.made(tmp_path_factory.mktemp("built"))
    checkout.build()
    return checkout


@pytest.fixture
def checkout(built, tmp_path):
    """Return a copy of the built checkout, which the test may change."""
    return built.copied(tmp_path / "copy")


def test_library_of_this_checkout():
    """This checkout's kernel is built, and loaded in this process."""
    find_cc()
    library = load()
    assert library is not None, why_none()
    assert library.instruction_set in HERE
    assert library.path.parent.parent.name == "kernel"
    assert library.functions.kernel_interface() == INTERFACE


def test_fastest_library_is_loaded(built):
    """Without a request, the library of the fastest instructions is loaded."""
    assert found_by(built) == f"{HERE[0]} {built.path(HERE[0])}"
    assert found_by(built, COARSEFINE_KERNEL="") == f"{HERE[0]} {built.path(HERE[0])}"


@pytest.mark.parametrize("name", HERE)
def test_request(built, name):
    """COARSEFINE_KERNEL names the instruction set to use."""
    assert found_by(built, COARSEFINE_KERNEL=name) == f"{name} {built.path(name)}"


def test_request_for_none(built):
    """COARSEFINE_KERNEL can ask for no kernel."""
    assert found_by(built, COARSEFINE_KERNEL="none") == "none: COARSEFINE_KERNEL is “none”: unset it to use the kernel."


def test_request_that_cannot_be_met(built):
    """An unknown instruction set, or one of another processor, is an error with exit code 2."""
    for name, reason in (
        ("sse9", "the instruction sets are x86-64-v4, x86-64-v3, aarch64"),
        (OTHER, f"it is not for {platform.system()} on {platform.machine()}"),
    ):
        assert found_by(built, COARSEFINE_KERNEL=name) == (
            f"2: COARSEFINE_KERNEL is “{name}”, which cannot be used: {reason}. {UNSET}"
        )


def test_unknown_instruction_set():
    """Opening the library of an unknown instruction set is an error that names the known ones, and no variable."""
    known = "the instruction sets are x86-64-v4, x86-64-v3, aarch64"
    with pytest.raises(KernelError, match=rf"^The kernel “sse9” cannot be used: {known}\.$"):
        open_library("sse9")


@pytest.mark.skipif("x86-64-v4" not in HERE, reason="needs a processor with two instruction sets")
def test_processor_without_the_fastest_instructions(checkout):
    """If the processor does not support it, the next library is loaded; a request for the first is refused."""
    checkout.change(
        "{ return 1; }\n", "{ return 1; }\n#ifdef __AVX512F__\n#define RUNS 0\n#else\n#define RUNS 1\n#endif\n"
    )
    checkout.change("kernel_runs_here(void) { return 1; }", "kernel_runs_here(void) { return RUNS; }")
    checkout.build()
    assert found_by(checkout) == f"x86-64-v3 {checkout.path('x86-64-v3')}"
    answer = (
        "2: COARSEFINE_KERNEL is “x86-64-v4”, which cannot be used: this processor does not support x86-64-v4. " + UNSET
    )
    assert found_by(checkout, COARSEFINE_KERNEL="x86-64-v4") == answer


def test_processor_without_any_of_the_instructions(checkout):
    """If no library runs on the processor, there is none, and the reason names the instructions."""
    checkout.change("kernel_runs_here(void) { return 1; }", "kernel_runs_here(void) { return 0; }")
    checkout.build()
    assert found_by(checkout) == f"none: This processor does not support {HERE[-1]}."


def test_library_of_other_sources_is_refused(checkout):
    """After a change of the sources the earlier libraries are not loaded; in a checkout the setup is the remedy."""
    checkout.change("return 1", "return  1")
    built = f"{checkout.path(HERE[-1])} was not built from the current sources"
    remedy = "install a C compiler, then run `python -m coarsefine.model.kernel.build`"
    assert found_by(checkout) == f"none: {built}: {remedy}."
    (checkout.root / "scripts").mkdir()
    (checkout.root / "scripts/setup").touch()
    assert found_by(checkout) == f"none: {built}: run `scripts/setup --kernel`."
    checkout.build()
    assert found_by(checkout).startswith(f"{HERE[0]} ")


def test_missing_library(checkout):
    """Without libraries there is no kernel, and the reason names the file."""
    shutil.rmtree(checkout.kernel / "libraries")
    assert found_by(checkout).startswith(f"none: {checkout.path(HERE[-1])} is missing: install a C compiler, ")


@pytest.mark.skipif("x86-64-v4" not in HERE, reason="needs a processor with two instruction sets")
def test_faster_library_that_is_missing_is_named(checkout):
    """If the fastest library is missing or outdated, the next is loaded, and a sentence names the first."""
    first, loaded = checkout.path("x86-64-v4"), f"x86-64-v3 {checkout.path('x86-64-v3')}"
    first.write_bytes(b"outdated")
    assert found_by(checkout).startswith(f"{loaded} {first} was not built from the current sources: install a C ")
    first.unlink()
    assert found_by(checkout).startswith(f"{loaded} {first} is missing: install a C compiler, then run ")


def test_folder_without_access(checkout):
    """A folder of libraries without access is named with the reason."""
    (checkout.kernel / "libraries").chmod(0)
    done = subprocess.run(
        [*drop_root_access(), sys.executable, "-P", "-c", SHOW], cwd=checkout.root, capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": str(checkout.root / "src"), "COARSEFINE_KERNEL": ""},
    )  # fmt: skip
    (checkout.kernel / "libraries").chmod(0o755)
    assert done.stdout.startswith(f"none: {checkout.path(HERE[-1])} cannot be loaded ([Errno 13] Permission "), done


def test_foreign_file_is_refused(checkout):
    """A file with the library's name that is of other sources, or is damaged, is not loaded."""
    for name in HERE:
        checkout.path(name).write_bytes(b"foreign")
    assert "was not built from the current sources" in found_by(checkout)
    checkout.build()
    for name in HERE:
        whole = checkout.path(name).read_bytes()
        checkout.path(name).write_bytes(b"damaged" + whole)
    assert f"{checkout.path(HERE[-1])} cannot be loaded (" in found_by(checkout)


def test_library_with_another_interface_is_refused(checkout):
    """A library whose functions take other arguments than this version passes is not used."""
    checkout.change("kernel_interface(void) { return 1; }", "kernel_interface(void) { return 77; }")
    checkout.build()
    assert f"{checkout.path(HERE[-1])} has interface 77 instead of {INTERFACE}: " in found_by(checkout)
