"""Words that readers search for, by the section of a chapter that explains them.

Each becomes a main entry of the index, which `docs/_static/scorer.js` puts first among the results. The build
warns of a section that does not exist.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

_LOG = logging.getLogger(__name__)

# By page, and by the first words of the section's heading.
SUBJECTS = {
    "paper/1-why-binary": {
        "1.2": ["memory"],
        "1.3": ["number of operations"],
    },
    "paper/2-binary-weights": {
        "2.1": ["sign", "binary weights", "Binary-Weight-Network", "BWN"],
        "2.4": ["alpha", "α", "scale", "Eq. 6"],
    },
    "paper/3-dot-products-of-bits": {
        "3.1": ["popcount", "XNOR", "XOR", "dot product"],
        "3.2": ["word", "packing", "tail bits", "unused bits"],
        "3.3": ["sign of zero", "negative zero", "NaN"],
    },
    "paper/4-xnor-convolution": {
        "4.1": ["beta", "β"],
        "4.3": ["K", "scale map"],
    },
    "paper/4-on-a-photograph": {
        "4.4": ["Eq. 11", "XNOR convolution"],
        "4.7": ["padding", "border"],
    },
    "paper/5-training": {
        "5 ": ["batch normalisation", "batch normalization", "training"],
        "5.1": ["straight-through estimator", "straight-through", "straight through", "STE", "hard tanh"],
        "5.2": ["gradient", "weight gradient"],
        "5.3": ["Algorithm 1"],
        "5.4": ["order of a block", "B-A-C-P", "C-B-A-P", "pooling", "max-pooling"],
    },
    "paper/6-speed": {
        "6 ": ["speed", "speedup"],
        "6.6": ["real layers", "first layer", "last layer"],
    },
    "paper/7-results": {
        "7.2": ["accuracy", "BNN", "BinaryConnect"],
        "7.3": ["noise"],
    },
    "paper/8-beyond": {
        "8.1": ["binary gradient", "binary gradients", "gradients of one bit"],
        "8.2": ["k bits", "k-bit"],
    },
}


class Subjects(SphinxTransform):
    """Adds the entries, before Sphinx collects those of a page."""

    default_priority = 840

    def apply(self, **kwargs: Any) -> None:
        sections = {section[0].astext(): section for section in self.document.findall(nodes.section)}
        for start, words in SUBJECTS.get(self.env.docname, {}).items():
            found = [section for heading, section in sections.items() if heading.startswith(start)]
            if len(found) != 1:
                _LOG.warning(
                    "expected one heading that starts with %r, found %d", start, len(found), location=self.document
                )
                continue
            section = found[0]
            entries = [("single", word, section["ids"][0], "main", None) for word in words]
            section.insert(1, addnodes.index(entries=entries))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(Subjects)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
