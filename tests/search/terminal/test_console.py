"""Texts of users are printed as they are, and terminal and page name nothing that is not so."""

import pytest
from rich.text import Text

from coarsefine.search.cli.output import say
from coarsefine.search.terminal.console import print_facts, print_line, print_prose, print_rows

OPTIONS = ["[/rbf]", "[relu]", "[bold]", ":fire:", "{x}", "%s"]


@pytest.mark.parametrize("text", OPTIONS)
def test_markup_of_users_is_text(capsys, text):
    """What looks like markup, or like the name of a picture, is printed as it is on every way to a terminal."""
    print_line(text)
    print_facts(Text(text))
    print_prose(text)
    print_rows((text, "b"), [(text, 1)])
    say(text)
    captured = capsys.readouterr()
    assert captured.out.count(text) == 5
    assert captured.err == f"{text}\n"
