"""The documentation site builds, and its check finds what is broken."""

import re
import shutil
from pathlib import Path

import pytest
from scripted import run_script

import coarsefine
from documentation import repeated
from documentation.built_pages import problems_of_site
from documentation.figures import outdated
from documentation.repeated import files_in
from documentation.sources import problems_of_sources

ROOT = Path(__file__).parents[2]
CONTENT_WIDTH = "Math.max(...[...document.querySelectorAll('html, .content')].map((part) => part.scrollWidth))"
"""The width of a page's content, which its theme may let scroll sideways within the page."""
WIDE_PAGES = ("index", "campaign-file", "stages", "python", "results/README", "speed", "layout")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build and check the site; return the folder of its pages."""
    folder = tmp_path_factory.mktemp("documentation")
    result = run_script("docs", "--check", "--output", folder, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "html"


def test_site_passes_its_check_in_a_browser(site, browser):
    """The site builds without a warning, and its check finds nothing.

    In a browser its pages request nothing from elsewhere, and none is wider than a phone or a screen: a table or code
    that is scrolls within itself.
    """
    address, requests = site.as_uri(), []
    page = browser.new_page()
    page.on("request", lambda request: requests.append(request.url))
    every = sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    for width, names in ((390, every), (1440, [f"{name}.html" for name in WIDE_PAGES])):
        page.set_viewport_size({"width": width, "height": 900})
        for name in names:
            page.goto(f"{address}/{name}")
            assert page.evaluate(CONTENT_WIDTH) <= width, (name, width)
    page.close()
    assert [url for url in requests if not url.startswith((address, "data:"))] == []


def written(folder, **pages):
    """Write pages with these bodies into a folder."""
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>{body}", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="gone.html">', "one.html: there is no gone.html"),
        ('<a href="two.html#gone">', "one.html: there is no anchor two.html#gone"),
        ('<a href="../../etc/passwd">', "one.html: there is no ../../etc/passwd"),
        ('<script src="https://cdn.example/x.js"></script>', "one.html: loads https://cdn.example/x.js"),
        ('<img alt="x" src="//cdn.example/x.png">', "one.html: loads //cdn.example/x.png"),
        ('<img alt="x" srcset="https://cdn.example/x.png 2x">', "one.html: loads https://cdn.example/x.png"),
        ('<link rel="stylesheet" href="https://cdn.example/x.css">', "one.html: loads https://cdn.example/x.css"),
        ("<style>@import url(https://cdn.example/x.css)</style>", "one.html: loads https://cdn.example/x.css"),
        ("<p style=\"background: url('https://cdn.example/x')\">", "one.html: loads https://cdn.example/x"),
        ('<img src="two.html">', "one.html: the image two.html has no alternative text"),
    ],
)
def test_problem_of_a_built_page_is_found(tmp_path, body, problem):
    """The check finds dead links and anchors, requests to other hosts, and images without an alternative text."""
    assert list(problems_of_site(written(tmp_path, one=body, two='<p id="here">'))) == [problem]


def test_good_page_has_no_problems(tmp_path):
    """Links to pages, anchors and other hosts, and images with an alternative text, are no problems."""
    body = '<a href="two.html#here"><a href="#"><a href="https://optuna.org"><img alt="x" src="data:image/png;base64,">'
    assert list(problems_of_site(written(tmp_path, one=body, two='<p id="here">'))) == []


def test_request_of_a_style_sheet_is_found(tmp_path):
    """The check reads style sheets and pictures, too."""
    (tmp_path / "x.css").write_text("a { background: url(https://cdn.example/x.png) }", "utf-8")
    assert list(problems_of_site(tmp_path)) == ["x.css: loads https://cdn.example/x.png"]


def test_dead_link_of_a_markdown_file_is_found(tmp_path):
    """The check finds files and headings that do not exist; it leaves code and other hosts alone."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("# A page\n\n## What it does\n", "utf-8")
    (tmp_path / "README.md").write_text(
        "[good](docs/page.md#what-it-does) [dead](docs/gone.md) [lost](docs/page.md#gone)\n"
        "[other](https://optuna.org) `[code](x.md)`\n```python\nf[0](x)\n```\n",
        "utf-8",
    )
    assert list(problems_of_sources(tmp_path)) == [
        "README.md: there is no docs/gone.md",
        "README.md: there is no heading docs/page.md#gone",
    ]


def test_outdated_figure_is_found(tmp_path):
    """A figure that differs from what would be drawn is reported."""
    figures = shutil.copytree(ROOT / "docs" / "figures", tmp_path / "figures")
    (figures / "slot.svg").write_text("<svg/>", "utf-8")
    assert list(outdated(figures)) == ["slot.svg is outdated: run `scripts/docs --update`"]


@pytest.mark.parametrize("name", coarsefine.__all__)
def test_public_name_is_documented_with_an_example(name):
    """A page describes each public name, and it or the page of the API shows an example that uses the name."""
    directive = re.compile(rf"^\.\. auto\w+:: coarsefine\.{name}\b", re.MULTILINE)
    pages = [page for page in (ROOT / "docs").rglob("*.md") if directive.search(page.read_text("utf-8"))]
    assert len(pages) == 1
    shown = [example.read_text("utf-8") for page in {*pages, ROOT / "docs" / "python.md"} for example in files_in(page)]
    assert any(re.search(rf"\b{name}\b", text) for text in shown)


def test_part_of_a_page_that_differs_is_found_and_updated(tmp_path):
    """A block that differs from its file is reported and updated, and a file that does not exist is reported."""
    (tmp_path / "README.md").write_text("# R\n", "utf-8")
    (tmp_path / "docs" / "examples").mkdir(parents=True)
    (tmp_path / "docs" / "examples" / "a.py").write_text("x = 1\n", "utf-8")
    page = tmp_path / "docs" / "page.md"
    shown = "Text\n\n<!-- file: examples/a.py -->\n```python\n{}```\n\n<!-- file: own.py -->\n```python\ny\n```\n"
    page.write_text(shown.format("x = 2\n"), "utf-8")
    assert list(repeated.outdated(tmp_path)) == ["docs/page.md is outdated: run `scripts/docs --update`"]
    repeated.update(tmp_path)
    assert page.read_text("utf-8") == shown.format("x = 1\n")
    assert list(repeated.outdated(tmp_path)) == []
    (tmp_path / "docs" / "examples" / "a.py").unlink()
    (problem,) = repeated.outdated(tmp_path)
    assert re.fullmatch(r"docs/page.md: there is no file \S+a.py", problem)


def test_pages_repeat_what_is_there():
    """The examples, keys, options and parts of the README in the pages are what they repeat."""
    assert list(repeated.outdated()) == []


def test_pages_read_as_markdown():
    """No page shows a directive or a role that only Sphinx understands."""
    hidden = re.compile(r"^<!-- sphinx\n.*?^-->$", re.DOTALL | re.MULTILINE)
    texts = {page: hidden.sub("", page.read_text("utf-8")) for page in repeated.pages()}
    assert [
        page for page, text in texts.items() if re.search(r"^(```|:::)\{|\{[a-z]+(:[a-z]+)?\}`\w", text, re.MULTILINE)
    ] == []
