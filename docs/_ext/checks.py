"""The checks of a section, `live.check` and `live.claim`, as one line at its end, which opens to show all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_CHECK = re.compile(r'<p class="check">.*?</p>', re.DOTALL)


def gather(doctree: nodes.document) -> None:
    """Move the checks of each section to its end, before its subsections; those of solutions stay with them."""
    for section in list(doctree.findall(nodes.section)):
        own = [part for part in section.children if not isinstance(part, nodes.section)]
        checks = [check for part in own for check in _taken(part)]
        if checks:
            count = "1 result was" if len(checks) == 1 else f"{len(checks)} results were"
            lines = "".join(checks)
            markup = (
                f'<details class="checks"><summary>{count} checked while this page was built</summary>{lines}</details>'
            )
            section.insert(len(own), nodes.raw("", markup, format="html"))


def _taken(part: nodes.Node) -> list[str]:
    """Remove the checks below a node; containers of outputs that are empty then go too."""
    found = []
    for raw in list(_shown(part)):
        text = raw.astext()
        lines = _CHECK.findall(text)
        if not lines:
            continue
        found += lines
        rest = _CHECK.sub("", text)
        if rest.strip():
            raw.parent.replace(raw, nodes.raw("", rest, format="html"))
            continue
        node: Any = raw
        while isinstance(node.parent, nodes.container) and len(node.parent.children) == 1:
            node = node.parent
        node.parent.remove(node)
    return found


def _shown(node: Any) -> Iterator[Any]:
    """Raw nodes below a node, but for those in cells that are closed as a whole: the solutions of exercises."""
    if isinstance(node, nodes.raw):
        yield node
    elif not (isinstance(node, nodes.container) and node.get("hide_mode") == "all"):
        for child in node.children:
            yield from _shown(child)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-resolved", lambda app, doctree, docname: gather(doctree))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
