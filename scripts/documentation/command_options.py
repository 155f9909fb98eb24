"""The arguments and options of each command as Markdown, from the Typer application."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from coarsefine.search.cli import app as application
from documentation.markdown import item, wrapped

_PLACEHOLDERS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


def options_of_commands() -> str:
    """Return a section for each command."""
    group: Any = typer.main.get_command(application)
    return "\n\n".join(_describe(name, command) for name, command in group.commands.items())


def _describe(name: str, command: Any) -> str:
    paragraphs = [wrapped(text) for text in inspect.cleandoc(command.help or "").split("\n\n")]
    parameters = "\n".join(filter(None, (_parameter(parameter) for parameter in command.params)))
    return "\n\n".join(filter(None, [f"### `{name}`", *paragraphs, parameters, command.epilog or ""]))


def _parameter(parameter: Any) -> str | None:
    if parameter.param_type_name == "argument":
        return item(f"**`{parameter.metavar or parameter.name.upper()}`**: {parameter.help}")
    if parameter.name == "help" or parameter.hidden:
        return None
    names = ", ".join(f"**`{name}`**" for name in (*parameter.opts, *parameter.secondary_opts))
    return item(f"{names}{_value(parameter)}: {' '.join([parameter.help, *_default(parameter)])}")


def _value(parameter: Any) -> str:
    """Return what follows the name of an option: its placeholder, or its choices."""
    kind = parameter.type_descriptor.annotation
    if parameter.is_flag:
        return ""
    if get_origin(kind) is Literal:
        return f" {' or '.join(f'`{choice}`' for choice in get_args(kind))}"
    return f" `{parameter.metavar or _PLACEHOLDERS[kind]}`"


def _default(parameter: Any) -> Iterator[str]:
    if not parameter.is_flag and parameter.default is not None and "Default" not in parameter.help:
        yield f"Default: `{parameter.default}`."
