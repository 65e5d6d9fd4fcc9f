"""Maths as MathML, made while the site is built: no script, no network, readable aloud.

Docutils, on which Sphinx stands, translates LaTeX; what it cannot translate is a warning, and so ends the build. So is
a fraction without braces, of which it makes something else than TeX does. The font is STIX Two Math out of the package
ziamath, cut down to the characters that mathematics here may use: phones have no font for mathematics of their own.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from fontTools import subset
from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)
# Of norms and magnitudes; as they come, they would grow with the line and stand apart on the left.
_BARS = re.compile(r'<mo(?: class="math\w+"| stretchy="false")?>([‖|])</mo>')
_CHARACTERS = [
    *range(0x20, 0x7F),
    *map(ord, "±·×÷¬"),
    *range(0x300, 0x310),  # accents
    *range(0x391, 0x3CA),  # Greek
    *map(ord, "–—‖′…ℓℒℝ𝔼←→↑↓↔↦⇒⇔∂∈∉∏∑−∓∗∘√∝∞∣∥∧∨∩∪∫≈≠≡≤≥≪≫⊂⊆⊕⊖⊗⊘⊙⊛⊤⊥⋅⋯⋮⋱⌈⌉⌊⌋⟨⟩𝟏"),
    *range(0x1D400, 0x1D468),  # bold and italic letters
    0x210E,  # the italic h
    *range(0x1D6E2, 0x1D71C),  # italic Greek
]


def bare_fraction(latex: str) -> str:
    """The first ``\\frac`` whose two arguments are not both in braces, and what follows it; "" when there is none."""
    for match in re.finditer(r"\\[cdt]?frac(?![a-zA-Z])", latex):
        end = match.end()
        for _ in range(2):
            end = _after_braces(latex, end)
        if end < 0:
            return latex[match.start() : match.start() + 20]
    return ""


def _after_braces(latex: str, start: int) -> int:
    """Where the group in braces that begins here ends; -1 when none begins here, or it never ends."""
    depth = 0
    rest = latex[start:] if start >= 0 else ""
    for i, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth <= 0 and not character.isspace():
            return start + i + 1 if character == "}" else -1
    return -1


def translate(latex: str, block: bool, node: nodes.Node) -> str:
    """MathML of a formula; a warning, and the LaTeX itself, where it cannot be translated."""
    if bare := bare_fraction(latex):
        _LOG.warning("a fraction needs braces, \\frac{1}{2}: %r", bare, location=node)
    try:
        markup: str = tex2mathml(latex.strip(), as_block=block)
    except MathError as error:
        _LOG.warning("cannot translate the formula %r: %s", latex, error, location=node)
        return f"<code>{nodes.unescape(latex)}</code>"
    return _BARS.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', markup)


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(translate(node.astext(), False, node))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    ids = "".join(f' id="{name}"' for name in node.get("ids", [])[:1])
    writer.body.append(f'<div class="formula"{ids} tabindex="0">{translate(node.astext(), True, node)}</div>\n')
    raise nodes.SkipNode


def _write_font(app: Sphinx, failure: Exception | None) -> None:
    """``_static/maths.woff``, a tenth of the size of the whole font."""
    if failure is not None or app.builder.format != "html":
        return
    options = subset.Options(flavor="woff", layout_features=["ssty"], hinting=False)
    source = files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=_CHARACTERS)
    subsetter.subset(font)
    subset.save_font(font, str(Path(app.outdir, "_static", "maths.woff")), options)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("build-finished", _write_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
