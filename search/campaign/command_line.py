"""The command that trains a trial: its placeholders, the variables of its parameters, the pattern of its values.

Pure functions. `training/user_code` runs the command; no shell ever reads it.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from coarsefine.search.campaign.dimension import Choice, Dimension, Value

FIXED = ("seed", "folder", "epochs", "point_file")
"""The placeholders that are no parameters."""
VALUE_GROUP = "value"
"""The group of a pattern that matches a trial's value."""
_VARIABLE = "COARSEFINE_PARAM_"
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PLAIN = re.compile(r"[\w@%+=:,./{}-]+", re.ASCII)
_NO_VARIABLE = re.compile("[^A-Z0-9_]")
_NUL = "\0"


def as_line(arguments: Sequence[str]) -> str:
    """Return a command as one line, quoted as for a shell; braces need no quotes, since no shell reads it."""
    return " ".join(word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in arguments)


def variable_of(parameter: str) -> str:
    """Return the name of the environment variable that holds a parameter's value."""
    return _VARIABLE + _NO_VARIABLE.sub("_", parameter.upper())


def distinct_variables(parameters: Iterable[str]) -> dict[str, str]:
    """Return the variable of each parameter; raise `ValueError` if two would share one."""
    variables = {name: variable_of(name) for name in parameters}
    (variable, count), *_ = Counter(variables.values()).most_common(1) or [("", 0)]
    if count > 1:
        alike = " and ".join(name for name, own in variables.items() if own == variable)
        raise ValueError(f"the parameters {alike} would share the environment variable {variable}")
    return variables


def text_of(value: Value) -> str:
    """Return a parameter's value as an argument: numbers exactly, true and false as in TOML and JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def filled(argument: str, values: Mapping[str, str]) -> str:
    """Return an argument with its placeholders replaced; raise `KeyError` for one without a value.

    A value is never searched for placeholders. `{{` and `}}` stand for braces.
    """
    return _PIECE.sub(lambda piece: piece[0][0] if piece[1] is None else values[piece[1]], argument)


def check_command(arguments: Sequence[str], space: Mapping[str, Dimension]) -> None:
    """Raise `ValueError` if a command cannot be filled in with a point of this space, or its variables collide."""
    _check_names(space)
    for name, dimension in space.items():
        if isinstance(dimension, Choice) and any(isinstance(o, str) and _NUL in o for o in dimension.options):
            raise ValueError(f"an option of {name} has a NUL character, which no command can receive: remove it")
    for argument in arguments:
        _check_argument(argument, [*space, *FIXED])


def _check_names(names: Iterable[str]) -> None:
    if taken := next((name for name in names if name in FIXED), None):
        raise ValueError(
            f"a parameter is named {taken}, which is also a placeholder of every command: give it another name"
        )
    try:
        distinct_variables(names)
    except ValueError as error:
        raise ValueError(f"{error}: rename all but one of them") from error


def _check_argument(argument: str, known: Sequence[str]) -> None:
    listed = ", ".join(f"{{{name}}}" for name in known)
    for piece in _PIECE.finditer(argument):
        if piece[1] is None and len(piece[0]) == 1:
            raise ValueError(f"command: {argument!r} has a single {piece[0]}: write {piece[0] * 2} for a brace")
        if piece[1] is not None and piece[1] not in known:
            raise ValueError(
                f"command: {argument!r} has the placeholder {piece[0]}, which is unknown (known: {listed}): correct "
                "it, or write {{ and }} for braces"
            )


def read_pattern(text: str) -> re.Pattern[str]:
    """Compile the pattern of a trial's values; raise `ValueError` if it does not compile or has no group `value`."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"it is not a regular expression: {error}") from error
    if VALUE_GROUP not in pattern.groupindex:
        raise ValueError("it needs a group with the name value, such as val_acc=(?P<value>[0-9.eE+-]+)")
    return pattern
