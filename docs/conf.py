"""Sphinx's configuration of the documentation: Markdown pages in docs/, built by `scripts/docs`."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Coarsefine"
author = "The authors of Coarsefine"
version = release = installed("coarsefine")
extensions = ["myst_parser", "sphinx.ext.autodoc", "hidden_directives", "public_names"]
exclude_patterns = ["_build"]
language = "en"

# Markdown. Anchors are those of code hosts, so that links work in the repository as well.
myst_heading_anchors = 4
# The description of pages that have none of their own.
myst_html_meta = {
    "description": "Coarsefine: hyperparameter optimization on Optuna, reproducible, coarse to fine, exactly once."
}

# Docstrings are written with single backticks for code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
# Signatures name types of other projects and of our own inner modules, which have no pages. Public names must resolve.
nitpick_ignore_regex = [("py:.*", r"(?!coarsefine\.[A-Za-z_]+$).*")]

html_theme = "furo"
html_title = "Coarsefine"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_favicon = "../search/server/pages/icon.svg"
pygments_style = "tango"
pygments_dark_style = "github-dark"
