"""Tables, words bit by bit, and the code of a function."""

from __future__ import annotations

import ast
import html
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from binnet.live.output import put


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", words: int = 1) -> None:
    """Show a table; numbers in cells should come as strings when their digits matter.

    The first ``words`` columns begin at the left, the others, numbers, end at the right.
    """

    def line(cells: Iterable[Any], tag: str) -> str:
        looks = [' class="words"' if i < words else "" for i in range(len(head))]
        pairs = zip(cells, looks, strict=True)
        return "<tr>" + "".join(f"<{tag}{look}>{html.escape(str(cell))}</{tag}>" for cell, look in pairs) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    note = f"<caption>{caption}</caption>" if caption else ""
    put(
        f'<div class="live-table" tabindex="0"><table>{note}<thead>{line(head, "th")}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def bits(rows: Mapping[str, Any], n: int, total: int = 64) -> None:
    """Show words bit by bit, the lowest (value 0) on the left, a row each; bits from ``n`` on are marked as unused.

    Parameters
    ----------
    rows
        By title: uint64 words, a number or an array (words,).
    n
        How many values are packed.
    total
        How many bits of a word to draw.
    """
    lines = []
    for title, words in rows.items():
        values = np.atleast_1d(np.asarray(words, np.uint64))
        for number, word in enumerate(values):
            name = title if len(values) == 1 else f"{title}, word {number}"
            cells = "".join(_bit(int(word) >> i & 1, 64 * number + i >= n) for i in range(total))
            lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    put(f'<div class="bits" tabindex="0"><table>{"".join(lines)}</table></div>')


def _bit(value: int, unused: bool) -> str:
    return f'<td class="{"tail" if unused else ("zero", "one")[value]}">{value}</td>'


def source(function: Callable[..., Any]) -> None:
    """Show the code of a function, without its docstring and annotations."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    definition.body, definition.returns = definition.body[1:], None
    for argument in definition.args.args:
        argument.annotation = None
    code = highlight(ast.unparse(definition), PythonLexer(), HtmlFormatter(nowrap=True))
    put(f'<div class="highlight"><pre>{code}</pre></div>')
