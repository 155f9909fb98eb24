"""What the source of a user's module says, read without running it."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from coarsefine.search.campaign.words import join_words
from coarsefine.search.errors import CampaignError

_SUGGESTS = ("suggest_float", "suggest_int", "suggest_categorical", "suggest_uniform", "suggest_loguniform",
             "suggest_discrete_uniform")  # fmt: skip
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def refuse_study_in_body(name: str, source: str) -> None:
    """Raise `CampaignError` if a module starts an Optuna study of an objective when it is imported.

    `name` is the objective, `package.module:function`.
    """
    function = name.partition(":")[2].partition(".")[0]
    for statement in _body(_parsed(source)):
        for call in _calls(statement, "optimize"):
            if any(isinstance(node, ast.Name) and node.id == function for node in ast.walk(call)):
                raise CampaignError(
                    f"objective = '{name}': line {call.lineno} of its module runs a study of Optuna's whenever the "
                    'module is imported: put that line, and those that need it, below `if __name__ == "__main__":`.'
                )


def direction_of(name: str, source: str) -> str | None:
    """Return the direction in which a module's studies search: "minimize", "maximize", or None if it does not say.

    `name` is the objective, `package.module:function`.

    Raises `CampaignError` for a study of several objectives.
    """
    found: set[str] = set()
    for call in _calls(_parsed(source), "create_study"):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if isinstance(several := given.get("directions"), ast.List | ast.Tuple) and len(several.elts) > 1:
            raise CampaignError(
                f"objective = '{name}': line {call.lineno} of its module makes a study with {len(several.elts)} "
                "directions, and Coarsefine searches one value: return one, and store the others with "
                "trial.set_user_attr."
            )
        found.add(_direction(given.get("direction")))
    return found.pop() if len(found) == 1 and found <= {"minimize", "maximize"} else None


@dataclass(slots=True)
class Reached:
    """Where an objective asked for parameters when it was called."""

    names: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    """The parameters that each `suggest` call asked for, by its line in the module and its place in the bytecode."""
    functions: set[int] = field(default_factory=set)
    """The first lines of the functions that made these calls, or called the function that did."""


def unreached_lines(source: str, reached: Reached) -> list[int]:
    """Return the lines with `suggest` calls that were not made, in functions that made others."""
    lines = {line for line, _ in reached.names}
    asking = [f for f in _functions(source) if _first_line(f) in reached.functions]
    calls = [call for function in asking for name in _SUGGESTS for call in _calls(function, name)]
    missed = [c for c in calls if lines.isdisjoint(range(c.lineno, (c.end_lineno or c.lineno) + 1))]
    return sorted({call.lineno for call in missed})


def parameters_of(source: str, function: str) -> list[str]:
    """Return the keys that a function asks its first argument for, such as "lr" of `point["lr"]`."""
    named = (found for found in _functions(source) if found.name == function and found.args.args)
    return list(dict.fromkeys(key for found in named for key in _keys(found, found.args.args[0].arg)))


def asked_keys(source: str, function: str) -> set[str] | None:
    """Return the keys that a function asks its first argument for; None if it does anything else with it."""
    found = _only(source, function, 0)
    if found is None:
        return None
    definition, argument = found
    keys = [*_keys(definition, argument)]
    return {*keys} if len(keys) == _uses(definition, argument) else None


def only_calls(source: str, function: str, place: int) -> bool:
    """Return whether a function does nothing with its argument at a place but call it, at least once."""
    found = _only(source, function, place)
    if found is None:
        return False
    definition, argument = found
    calls = [n for n in ast.walk(definition) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return 0 < sum(call.func.id == argument for call in calls) == _uses(definition, argument)  # type: ignore[attr-defined]


def _only(source: str, function: str, place: int) -> tuple[_Function, str] | None:
    """Return the only function of this name and the name of its argument at a place; None without exactly one."""
    named = [found for found in _functions(source) if found.name == function]
    arguments = [argument.arg for argument in named[0].args.args] if len(named) == 1 else []
    return (named[0], arguments[place]) if place < len(arguments) else None


def _uses(function: _Function, argument: str) -> int:
    return sum(isinstance(node, ast.Name) and node.id == argument for node in ast.walk(function))


def lines_text(lines: Collection[int]) -> str:
    """Return line numbers as part of a sentence: `line 3`, `lines 3 and 5`."""
    return f"line{'s' * (len(lines) > 1)} {join_words([*map(str, lines)])}"


def _keys(function: _Function, argument: str) -> Iterator[str]:
    for node in ast.walk(function):
        match node:
            case ast.Subscript(ast.Name(name), ast.Constant(str(key))) if name == argument:
                yield key
            case ast.Call(ast.Attribute(ast.Name(name), "get"), [ast.Constant(str(key)), *_]) if name == argument:
                yield key


def _functions(source: str) -> Iterator[_Function]:
    return (node for node in ast.walk(_parsed(source)) if isinstance(node, _Function))


def _parsed(source: str) -> ast.Module:
    """Return a module's tree, without statements if it is not Python: its import says so better."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _body(module: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that an import runs."""
    for statement in module.body:
        asks_name = isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
        if not isinstance(statement, _Function | ast.ClassDef) and not asks_name:
            yield statement


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Yield the calls of a function or method of this name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if name == (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)):
                yield node


def _direction(given: ast.expr | None) -> str:
    match given:
        case None:
            return "minimize"  # Optuna's default
        case ast.Constant(value=str(direction)):
            return direction.lower()
        case ast.Attribute(attr=direction):  # StudyDirection.MAXIMIZE
            return direction.lower()
    return "unknown"


def _first_line(function: _Function) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
