"""Directive `command-reference`: the arguments and options of each command, from the Typer application."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from coarsefine.search.cli import app as application

_PLACEHOLDERS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


class CommandReference(SphinxDirective):
    """Describe every command."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command."""
        group: Any = typer.main.get_command(application)
        text = "\n\n".join(_describe(name, command) for name, command in group.commands.items())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}


def _describe(name: str, command: Any) -> str:
    parameters = [*filter(None, (_parameter(parameter) for parameter in command.params))]
    lines = [f"### `{name}`", inspect.cleandoc(command.help or ""), *parameters, command.epilog or ""]
    return "\n\n".join(filter(None, lines))


def _parameter(parameter: Any) -> str | None:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`\n: {parameter.help}"
    if parameter.name == "help" or parameter.hidden:
        return None
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names}{_value(parameter)}\n: {' '.join([parameter.help, *_default(parameter)])}"


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
