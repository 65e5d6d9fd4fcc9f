"""The directives ``equation`` and ``equation-list``: equations of the paper, tied to the code that computes them.

::

    ```{equation} 6
    :title: the best scale
    :by: binnet_kernels.weight_alpha
    \\alpha^* = \\frac{1}{n} \\lVert W \\rVert_1
    ```

shows the formula with its number, links the functions and their source, folds in the NumPy twin, and can be referred to
as ``{ref}`eq-6` ``. An equation without a live check on its page, ``live.check("Eq. 6", ...)``, is a warning.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

_LOG = logging.getLogger(__name__)


class equation_list(nodes.General, nodes.Element):  # noqa: N801 - nodes are in lower case
    """Where the table of all equations goes."""


class folded(nodes.General, nodes.Element):  # noqa: N801
    """What opens with a click."""


class source_link(nodes.Inline, nodes.Element):  # noqa: N801
    """A link to an object's source, once it is known where the page of sources lies."""


def resolve(name: str) -> Any:
    """The object of a dotted name; AttributeError or ImportError when there is none."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            value = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            value = getattr(value, part)
        return value
    raise ImportError(f"there is no module for {name!r}")


class Equation(SphinxDirective):
    """One numbered equation; the number is the paper's, or a word for those that have none there."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "title": directives.unchanged_required,
        "by": directives.unchanged,  # dotted names, separated by blanks or commas
        "note": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        number = self.arguments[0]
        label = "eq-" + re.sub(r"\W+", "-", number.lower()).strip("-")
        words = f"Eq. {number}" if number[0].isdigit() else number
        title = self.options.get("title", "")
        by = re.split(r"[\s,]+", self.options.get("by", "").strip()) if self.options.get("by") else []
        self._register(label, words, title, by)
        card = nodes.container(classes=["equation"], ids=[label])
        head = nodes.paragraph("", "", classes=["equation-head"])
        head += nodes.reference("", "", nodes.strong("", words), refuri=f"#{label}", classes=["equation-number"])
        head += nodes.Text(f" {title}" if title else "")
        latex = "\n".join(self.content)
        card += [head, nodes.math_block(latex, latex, nowrap=False, number=None, label=None)]
        if by or "note" in self.options:
            card += self._code(by)
        card += [twin for name in by if (twin := _numpy_twin(name)) is not None]
        return [card]

    def _register(self, label: str, words: str, title: str, by: list[str]) -> None:
        domain = self.env.domains.standard_domain
        if label in domain.labels and domain.labels[label][0] != self.env.docname:
            _LOG.warning("%s stands on two pages", words, location=self.get_location())
        domain.labels[label] = (self.env.docname, label, words)
        domain.anonlabels[label] = (self.env.docname, label)
        _known(self.env).setdefault(self.env.docname, []).append((words, label, title, by))

    def _code(self, by: list[str]) -> nodes.paragraph:
        line = nodes.paragraph("", "", classes=["equation-code"])
        for i, name in enumerate(by):
            try:
                resolve(name)
            except (AttributeError, ImportError) as error:
                _LOG.warning("%s", error, location=self.get_location())
                continue
            line += nodes.Text("in the code: " if i == 0 else ", ")
            line += _code_links(name)
        if "note" in self.options:
            line += nodes.Text(" · " * bool(by) + self.options["note"])
        return line


def _code_links(name: str) -> list[nodes.Node]:
    """To the reference and to the source."""
    target = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=name, refexplicit=False, refwarn=True)
    target += nodes.literal("", name, classes=["xref", "py"])
    return [target, nodes.Text(" ("), source_link("", name=name), nodes.Text(")")]


def _numpy_twin(name: str) -> folded | None:
    """The function again in plain NumPy, folded, for a public name of the kernels."""
    module, _, function = name.rpartition(".")
    if module != "binnet_kernels":
        return None
    home = import_module(getattr(import_module(module), function).__module__)  # a front door imports its NumPy form
    twin = getattr(getattr(home, "reference", import_module("binnet_kernels.reference")), function, None)
    if not inspect.isfunction(twin):
        return None
    code = inspect.getsource(twin)
    block = nodes.literal_block(code, code, language="python")
    return folded("", block, summary=f"{function} in plain NumPy, the whole of it")


class EquationList(SphinxDirective):
    """A table of all equations: number, what it says, where it is explained, which function computes it."""

    def run(self) -> list[nodes.Node]:
        return [equation_list()]


def _known(env: BuildEnvironment) -> dict[str, list[tuple[str, str, str, list[str]]]]:
    if not hasattr(env, "paper_equations"):
        env.paper_equations = {}  # type: ignore[attr-defined]
    return env.paper_equations  # type: ignore[attr-defined, no-any-return]


def _forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _known(env).pop(docname, None)


def _merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    _known(env).update({name: rows for name, rows in _known(other).items() if name in docnames})


def _expect_checks(app: Sphinx, doctree: nodes.document) -> None:
    """Warn where an equation is shown and nothing on its page compares it with the code."""
    code = "\n".join(block.astext() for block in doctree.findall(nodes.literal_block))
    for words, *_ in _known(app.env).get(app.env.docname, []):
        if not re.search(rf"check\(\s*f?\"{re.escape(words)}\b", code):
            _LOG.warning('%s has no live.check("%s", ...) on its page', words, words, location=app.env.docname)


def _fill_in(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in list(doctree.findall(source_link)):
        node.replace_self(_link_to_source(app, node["name"], docname))
    for node in list(doctree.findall(equation_list)):
        node.replace_self(nodes.container("", _table(app, docname), classes=["table-wrapper"]))


def _link_to_source(app: Sphinx, name: str, docname: str) -> nodes.reference:
    value = resolve(name)
    module = inspect.getmodule(value)
    page = "_modules/" + (module.__name__ if module else "").replace(".", "/")
    uri = app.builder.get_relative_uri(docname, page) + f"#{value.__qualname__}"
    return nodes.reference("", "source", refuri=uri, internal=True)


def _table(app: Sphinx, docname: str) -> nodes.table:
    rows = [(docname_of, row) for docname_of in _known(app.env) for row in _known(app.env)[docname_of]]
    body = nodes.tbody()
    for page, (words, label, title, by) in sorted(rows, key=lambda item: _order(item[1][0])):
        uri = f"{app.builder.get_relative_uri(docname, page)}#{label}"
        chapter = app.env.titles[page].astext()
        sources = nodes.paragraph()
        for i, name in enumerate(by):
            sources += [nodes.Text(", " if i else ""), nodes.literal("", name), nodes.Text(" (")]
            sources += [_link_to_source(app, name, docname), nodes.Text(")")]
        number = nodes.paragraph("", "", nodes.reference("", words, refuri=uri, internal=True))
        cells = [number, nodes.paragraph("", title), nodes.paragraph("", chapter), sources]
        body += nodes.row("", *(nodes.entry("", cell) for cell in cells))
    head = nodes.row("", *(nodes.entry("", nodes.paragraph("", word)) for word in ("number", "says", "page", "code")))
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in range(4)), nodes.thead("", head), body, cols=4)
    return nodes.table("", group)


def _order(words: str) -> tuple[float, str]:
    number = re.search(r"\d+", words)
    return (float(number.group()) if number else 1e9, words)


def _open_folded(writer: Any, node: folded) -> None:
    writer.body.append(f'<details class="folded"><summary>{node["summary"]}</summary>\n')


def _close_folded(writer: Any, node: folded) -> None:
    writer.body.append("</details>\n")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_node(equation_list)
    app.add_node(folded, html=(_open_folded, _close_folded))
    app.add_node(source_link)
    app.add_directive("equation", Equation)
    app.add_directive("equation-list", EquationList)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("doctree-read", _expect_checks)
    app.connect("doctree-resolved", _fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
