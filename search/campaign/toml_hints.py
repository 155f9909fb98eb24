"""Hints for the usual mistakes in a TOML file, from what its parser says and where it stopped."""

import re

_NOT_CODE = re.compile(r""""(?:\\.|[^"\\\n])*"|'[^'\n]*'|["'#].*""")
"""Strings, also unfinished ones, and comments."""
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_STAGE = re.compile(r"[ \t]*\[{1,2}[ \t]*stage[ \t]*\]")


def toml_hint(message: str, text: str) -> str:
    """Return what to do about a parser's message, as a sentence after a space; empty if it is no usual mistake."""
    line, before, after = _divide(message, text.replace("\r\n", "\n"))
    if before.count("{") > before.count("}") and (not after or after[0] in "\n#}"):
        if after.startswith("}"):
            return " Remove the comma before the closing brace of the inline table."
        return (
            " An inline table, { … }, stays on one line: join its lines, or write a table with a line for each key, "
            "such as [stage.space]."
        )
    if _STAGE.match(line):
        return " Each stage starts with [[stage]], in two pairs of brackets."
    if "Invalid value" in message:
        return " A text needs quotes; true and false are in lower case; or a bracket is not closed above."
    return ""


def _divide(message: str, text: str) -> tuple[str, str, str]:
    """Return the line where the parser stopped, the code before that place, and all text after it."""
    if (place := _PLACE.search(message)) is None:  # at the end of the document, or nowhere
        return "", _NOT_CODE.sub("", text), ""
    number, column = map(int, place.groups())
    lines = text.splitlines(keepends=True)
    line = lines[number - 1] if number <= len(lines) else ""
    before = "".join(lines[: number - 1]) + line[: column - 1]
    return line, _NOT_CODE.sub("", before), text[len(before) :]
