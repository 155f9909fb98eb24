"""The kernel is compiled by the system's compiler or by Zig, once for each state of its sources."""

import platform
import subprocess
import sys

import pytest
from tiny_kernel import TinyCheckout, find_cc, programs_without_cc, write_zig

from coarsefine.model.kernel.build import libraries_in
from coarsefine.model.kernel.compilers import PLATFORMS, system_compiler
from coarsefine.model.kernel.instruction_sets import INSTRUCTION_SETS, instruction_sets_of

HERE = [each.name for each in instruction_sets_of()]
pytestmark = pytest.mark.skipif(not HERE, reason=f"there is no kernel for {platform.system()} on {platform.machine()}")


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout without libraries."""
    return TinyCheckout.made(tmp_path)


@pytest.fixture
def without_cc(tmp_path):
    """Return the environment of a machine without a C compiler."""
    return {"PATH": str(programs_without_cc(tmp_path / "programs")), "CC": ""}


def times(checkout):
    """Return the name of each file in the folder of libraries, and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in checkout.kernel.glob("libraries/*")}


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        ("x86_64", ["x86-64-v4", "x86-64-v3"]), ("AMD64", ["x86-64-v4", "x86-64-v3"]),
        ("aarch64", ["aarch64"]), ("arm64", ["aarch64"]), ("riscv64", []),
    ],
)  # fmt: skip
def test_instruction_sets_of_a_processor(machine, names):
    """Each kind of processor, by any of its names, has its instruction sets, the fastest first."""
    assert [each.name for each in instruction_sets_of(machine)] == names


def test_no_flag_changes_the_bits():
    """No library is compiled with a flag that lets a compiler reorder or contract sums, or use other instructions."""
    for each in INSTRUCTION_SETS:
        assert "-ffp-contract=off" in each.flags
        assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-march=native"} & set(each.flags)


@pytest.mark.parametrize("target", PLATFORMS, ids=[each.tag for each in PLATFORMS])
def test_libraries_of_a_platform(target, tmp_path):
    """A platform's libraries are named by their instructions, and by the system's ending."""
    ending = "dylib" if "macos" in target.tag else "so"
    names = ["x86-64-v4", "x86-64-v3"] if "x86_64" in target.tag else ["aarch64"]
    assert [path.name for path in libraries_in(tmp_path, target).values()] == [f"kernel-{n}.{ending}" for n in names]


def test_kernel_is_compiled_once(checkout):
    """The first call compiles a library for each instruction set, and says with what; the next call changes nothing."""
    find_cc()
    paths = [f"{name}: {checkout.path(name)}" for name in HERE]
    compiling = f"Compiling the kernel for {' and '.join(HERE)} with cc"
    assert checkout.build(CC="").splitlines() == [compiling, *paths]
    before = times(checkout)
    assert len(before) == len(HERE), "nothing else is left in the folder"
    assert checkout.build(CC="").splitlines() == paths
    assert times(checkout) == before


def test_only_what_is_outdated_is_compiled_again(checkout):
    """After a change of a source, or in place of a file that is no library of it, the kernel is compiled again."""
    find_cc()
    checkout.build()
    before = times(checkout)
    (checkout.kernel / "source/more.h").write_text("/* more */\n", "utf-8")
    assert checkout.build().startswith("Compiling the kernel for ")
    after = times(checkout)
    assert all(after[name] != before[name] for name in before)
    checkout.path(HERE[-1]).write_bytes(b"foreign")
    assert f"for {HERE[-1]} with" in checkout.build()
    assert [name for name in after if times(checkout)[name] != after[name]] == [f"kernel-{HERE[-1]}.so"]


def test_standard_library_is_enough(checkout):
    """The build imports nothing that has to be installed."""
    code = "import coarsefine.model.kernel.build, coarsefine.model.kernel.library, sys; print('numpy' in sys.modules)"
    assert checkout.run("-S", "-c", code).stdout == "False\n"


def test_cc_names_a_compiler_with_options(checkout):
    """The compiler that CC names, with its options, is used before `cc`."""
    assert f"with {find_cc()} -DOPTION" in checkout.build(CC=f"{find_cc()} -DOPTION")


@pytest.mark.parametrize("instruction_set", instruction_sets_of(), ids=HERE)
def test_source_compiles_without_warnings(instruction_set, tmp_path):
    """The compiler has no warning. Users compile without these flags: a later compiler may warn of more."""
    find_cc()
    with system_compiler() as compiler:
        compiler.compile(instruction_set, tmp_path / "kernel.so", "-O1", "-Wall", "-Wextra", "-Werror")


def test_warnings_do_not_stop_the_build(checkout):
    """A source that the compiler warns of is compiled."""
    find_cc()
    checkout.source.write_text(checkout.source.read_text("utf-8") + "#warning later compilers warn of more\n", "utf-8")
    checkout.build()
    assert len(times(checkout)) == len(HERE)


def test_cc_that_is_no_command(checkout):
    """A CC with an unclosed quotation mark is named with the reason."""
    reason = "The kernel is not built: CC is “'gcc”, which is not a command (No closing quotation); "
    assert checkout.build(code=1, CC="'gcc").startswith(reason)


def test_without_any_compiler(checkout, without_cc):
    """Without a compiler the build fails, and names what it looked for."""
    assert checkout.build(code=1, **without_cc) == (
        "The kernel is not built: there is no C compiler `cc`; the package ziglang is not installed.\n"
    )
    assert times(checkout) == {}


def test_zig_is_downloaded_for_the_build_alone(checkout, without_cc, tmp_path):
    """Without a C compiler, Zig is installed from the lock, compiles for the oldest system, and is removed."""
    lock, calls, temporary = write_zig(tmp_path), tmp_path / "calls", tmp_path / "temporary"
    temporary.mkdir()
    lines = checkout.build("--zig", lock, ZIG_CALLS=str(calls), TMPDIR=str(temporary), **without_cc).splitlines()
    assert lines[0] == f"Compiling the kernel for {' and '.join(HERE)} with zig cc"
    assert len(times(checkout)) == len(HERE)
    assert list(temporary.iterdir()) == []
    called = calls.read_text("utf-8").splitlines()
    assert len(called) == len(HERE)
    assert all(f" -target {platform.machine()}-linux-gnu.2.17 " in line for line in called)


def test_zig_of_another_hash_is_refused(checkout, without_cc, tmp_path):
    """A Zig that has another hash than the lock is not used."""
    lock = write_zig(tmp_path)
    lock.write_text("ziglang==1 --hash=sha256:" + "0" * 64 + "\n", "utf-8")
    reason = checkout.build("--zig", lock, code=1, **without_cc)
    assert reason == (
        "The kernel is not built: there is no C compiler `cc`; pip failed with exit code 1 while it installed Zig from "
        f"{lock}.\n"
    )
    assert times(checkout) == {}


def test_compiler_that_fails(checkout, tmp_path):
    """If the compiler fails, an installed Zig compiles; if that fails too, both are named, with what they printed."""
    write_zig(tmp_path)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho it is broken >&2; exit 7\n", "utf-8")
    broken.chmod(0o755)
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--target", checkout.root / "src"]
    subprocess.run([*pip, tmp_path / "ziglang-1-py3-none-any.whl"], check=True, capture_output=True)
    assert "with zig cc" in checkout.build(CC=str(broken))
    checkout.source.write_text("this is no C\n", "utf-8")
    done = checkout.run("-m", "coarsefine.model.kernel.build", CC=str(broken))
    assert done.returncode == 1
    assert "it is broken" in done.stdout
    assert "kernel.c" in done.stdout
    assert (
        done.stderr == f"The kernel is not built: {broken} failed with exit code 7; zig cc failed with exit code 1.\n"
    )


def test_folder_that_cannot_be_written(checkout):
    """A folder that cannot be made is named with the reason."""
    find_cc()
    (checkout.kernel / "libraries").write_text("in the way", "utf-8")
    assert "cannot be written (File exists)" in checkout.build(code=1)
