"""What stands between our docstrings and reStructuredText: |x| is a magnitude, and shapes are no links."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx


def _keep_magnitudes(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Bars outside literals become the sign for magnitudes: ``|W|`` would ask for a substitution."""
    for i, line in enumerate(lines):
        pieces = re.split(r"(``.*?``)", line)
        lines[i] = "".join(piece if piece.startswith("``") else piece.replace("|", "∣") for piece in pieces)


def _unlink_shapes(app: Sphinx, doctree: nodes.document) -> None:
    """Words of a type such as "float32 (rows, channels)" are no names of ours, but would be looked up as such."""
    for field in doctree.findall(nodes.field):
        for reference in list(field.findall(addnodes.pending_xref)):
            if reference.get("refspecific") and reference["reftarget"].islower():
                reference.replace_self(nodes.Text(reference.astext()))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _keep_magnitudes)
    app.connect("doctree-read", _unlink_shapes, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
