"""Test what can be added by name: found in tables and entry points, imported when asked for, refused with a reason."""

import os
import sys

import pytest
from packages import install

from coarsefine.model.errors import ExtensionError, ModelError
from coarsefine.model.extensions import Group, call, described, known, load, missing_packages, package_of

GROUP = "coarsefine.test_numbers"


def positive(found):
    """Return a positive number."""
    if not isinstance(found, int):
        raise TypeError(f"is no number, but {found!r}")
    if found <= 0:
        raise ValueError(f"is {found}, not above 0")
    return found


@pytest.fixture
def group():
    """Return a kind of extension whose own one is a number of the standard library."""
    return Group(GROUP, "number", {"own": "socket:SOMAXCONN"}, positive)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a package for this process, with one entry point for each object."""

    def install_one(package, module, text, **objects):
        entries = {GROUP: {name: f"{module}:{thing}" for name, thing in objects.items()}}
        monkeypatch.delitem(sys.modules, module, raising=False)
        install(tmp_path / package, package, entries, **{module: text})
        monkeypatch.syspath_prepend(str(tmp_path / package))

    return install_one


def test_extension_of_another_package_is_found(group, installed):
    """What another package brings is known by its name, loaded, and named with its package."""
    installed("more-numbers", "more_numbers", "SEVEN = 7\n", seven="SEVEN")
    assert list(known(group)) == ["own", "seven"]
    assert "more_numbers" not in sys.modules
    assert load(group, "seven") == 7
    assert load(group, "own") > 0
    assert (package_of(group, "seven"), package_of(group, "own")) == (("more-numbers", "1.0"), None)
    assert described(group, "seven") == "number 'seven' of more-numbers 1.0"
    assert described(group, "own") == "number 'own' of Coarsefine"


def test_unknown_name_lists_what_is_known(group, installed):
    """The error for an unknown name lists the known ones, and the package of those that others bring."""
    installed("more-numbers", "more_numbers", "SEVEN = 7\n", seven="SEVEN")
    for ask in (load, package_of, described):
        with pytest.raises(ExtensionError) as error:
            ask(group, "eight")
        assert str(error.value) == "There is no number 'eight' (known: own, seven of more-numbers 1.0)."
        assert error.value.reason == "there is no number 'eight' (known: own, seven of more-numbers 1.0)"
    assert error.value.exit_code == 2
    assert isinstance(error.value, ModelError)


BROKEN = {
    "module": (
        "import nowhere\n",
        "cannot be imported (ModuleNotFoundError: No module named 'nowhere'): correct or rem",
    ),
    "object": ("", "cannot be imported (AttributeError: module 'broken' has no attribute 'IT'): correct or remove"),
    "exit at once": (
        "import os\nos._exit(0)\n",
        "cannot be imported (SystemExit: os._exit(0)): correct or remove that",
    ),
    "syntax": ("IT = = 3\n", "cannot be imported (SyntaxError: invalid syntax"),
    "exit": ("import sys\nsys.exit(3)\n", "cannot be imported (SystemExit: 3): correct or remove that package, or nam"),
    "type": ("IT = 'x'\n", "is no number, but 'x': correct it, or name another number."),
    "value": ("IT = -2\n", "is -2, not above 0: correct it, or name another number."),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_extension_is_named_with_its_cause(group, installed, case):
    """What cannot be imported or is of another kind is refused with package and cause, only if it is asked for."""
    text, message = BROKEN[case]
    installed("broken-numbers", "broken", text, bad="IT")
    assert list(known(group)) == ["own", "bad"]
    load(group, "own")
    with pytest.raises(ExtensionError) as error:
        load(group, "bad")
    assert f"Number 'bad' of broken-numbers 1.0 (broken:IT) {message}" in str(error.value)


def test_corrected_extension_is_loaded(group, installed):
    """An error is not kept: a package that was corrected is loaded by the same process."""
    installed("late-numbers", "late_numbers", "SEVEN = -7\n", seven="SEVEN")
    with pytest.raises(ExtensionError):
        load(group, "seven")
    sys.modules["late_numbers"].SEVEN = 7
    assert load(group, "seven") == 7


def _code_of_child():
    """Return the exit code of a forked process, which ends like those of `multiprocessing`."""
    if (child := os.fork()) == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_failing_call_is_named_with_its_cause(group, installed):
    """Code of another package that fails or exits is named; an answer and errors that are asked for pass."""
    installed("more-numbers", "more_numbers", "SEVEN = 7\n", seven="SEVEN")

    def fail(error):
        raise error

    assert call(group, "seven", lambda: 3) == 3
    for error, cause in (
        (ZeroDivisionError("no."), "ZeroDivisionError: no"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyError(), "KeyError"),
    ):
        with pytest.raises(ExtensionError) as caught:
            call(group, "seven", lambda error=error: fail(error))
        assert str(caught.value) == f"The number 'seven' of more-numbers 1.0 failed: {cause}."
    with pytest.raises(ExtensionError, match=r"1.0 failed: SystemExit: os._exit\(0\)\."):  # a run would end with 0
        call(group, "seven", lambda: os._exit(0))
    assert call(group, "seven", _code_of_child) == 7
    with pytest.raises(ValueError, match="as it is"):
        call(group, "seven", lambda: fail(ValueError("as it is")), ValueError)
    with pytest.raises(KeyboardInterrupt):
        call(group, "seven", lambda: fail(KeyboardInterrupt()))


def test_name_that_two_packages_bring_is_refused(group, installed):
    """A name that two packages bring is refused with both; Coarsefine's own names cannot be replaced."""
    installed("first", "first_numbers", "IT = 1\n", twice="IT", own="IT")
    installed("second", "second_numbers", "IT = 2\n", twice="IT")
    with pytest.raises(ExtensionError, match=r"First 1\.0 and second 1\.0 both bring a number 'twice': remove one"):
        load(group, "twice")
    assert package_of(group, "own") is None


def test_missing_packages_are_named_with_their_version():
    """Packages that are not installed are named with the version that was used; installed ones are not."""
    assert missing_packages({"numpy": "0.1", "no-such-package": "1.2"}) == ["no-such-package 1.2"]


def test_own_extensions_exist():
    """Each name in the tables of Coarsefine leads to an object that the table's check accepts."""
    from coarsefine.search.campaign.pruning import PRUNERS  # noqa: PLC0415 - the model's tests need no search otherwise
    from coarsefine.search.campaign.sampling import SAMPLERS  # noqa: PLC0415

    for own in (SAMPLERS, PRUNERS):
        for name in own.built_in:
            assert load(own, name) is not None
