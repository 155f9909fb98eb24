"""Links from the types in signatures to the public names of `coarsefine`, which are defined in inner modules."""

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import coarsefine


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.TextElement) -> nodes.Node | None:
    """Return a link to the public name of an inner one; None if there is none."""
    target = str(node.get("reftarget", ""))
    name = target.rpartition(".")[2]
    if node.get("refdomain") != "py" or not target.startswith("coarsefine.") or name not in coarsefine.__all__:
        return None
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"coarsefine.{name}", node, contents)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the link resolver."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True}
