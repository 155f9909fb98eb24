"""What `export --as` prints of any parameters."""

import pytest

from coarsefine import UsageError
from coarsefine.search.cli.models import _print_params


def test_environment_variables_have_names_of_their_own(capsys):
    """A parameter sets no variable of Coarsefine, whatever its name, and its value comes through a shell as it is."""
    _print_params({"data": "a  b", "cache": 0.1, "token": True}, "env")
    assert capsys.readouterr().out.splitlines() == [
        "export COARSEFINE_PARAM_DATA='a  b'",
        "export COARSEFINE_PARAM_CACHE=0.1",
        "export COARSEFINE_PARAM_TOKEN=true",
    ]


def test_parameters_that_would_share_a_variable_are_refused(capsys):
    """Of `C` and `c` a shell could have only one, so none is printed, and the error says what to use instead."""
    with pytest.raises(UsageError, match="C and c would share the environment variable") as refused:
        _print_params({"C": 1.0, "c": 2.0}, "env")
    assert "--as params" in str(refused.value)
    assert capsys.readouterr().out == ""
