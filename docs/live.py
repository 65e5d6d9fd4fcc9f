"""What the cells of the pages share: checks that end the build, figures with captions, tables, bits, a photograph.

A page starts with ``import live``; its cells stay short, and everything they show is computed while the site is built.
"""

from __future__ import annotations

import ast
import base64
import html
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import widgets
from IPython.display import display
from material import binary_layers, digits, input_of, network, photograph, sections
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

__all__ = [
    "axes",
    "binary_layers",
    "bits",
    "check",
    "claim",
    "digits",
    "input_of",
    "maps",
    "network",
    "photograph",
    "put",
    "sections",
    "show",
    "source",
    "table",
    "widget",
]

# Readable on white and on black.
BLUE, ORANGE, GREEN, PURPLE, RED = "#3a86c8", "#e0783a", "#2e9e6b", "#a864c0", "#d04a5a"
_NARROW = 3.6  # inches: a phone
_INK = "#010203"  # stands for the colour of the page's text, light or dark

matplotlib.use("Agg")
plt.rcParams.update(
    {
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, RED]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
        **{f"{part}.color": _INK for part in ("text", "xtick", "ytick")},
        **{f"axes.{part}color": _INK for part in ("edge", "label")},
        "axes.titlesize": 10,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "legend.frameon": False,
    }
)


def put(markup: str) -> None:
    """Put HTML on the page, below the cell."""
    display({"text/html": markup}, raw=True)


def widget(name: str) -> None:
    """Put a figure on the page that readers operate: one of those in `docs/widgets`."""
    put(widgets.markup(name))


# ---------------------------------------------------------------------------------------------- checks


def check(what: str, ours: Any, expected: Any, tolerance: float = 1e-6) -> None:
    """End the build unless two results agree; say on the page how well they do.

    Parameters
    ----------
    what
        ``"Eq. 6"``, and more words if wanted: ``"Eq. 6, on all filters"``. An equation is looked for by its number.
    ours, expected
        Numbers or arrays of one shape.
    tolerance
        Largest difference allowed, as a share of the largest expected value; 0 for whole numbers.
    """
    a, b = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    assert a.shape == b.shape, f"{what}: shapes {a.shape} and {b.shape}"
    worst = float(np.abs(a - b).max(initial=0))
    limit = tolerance * max(1.0, float(np.abs(b).max(initial=0)))
    assert worst <= limit, f"{what}: differs by {worst:.3g}, allowed is {limit:.3g}"  # NaN fails as well
    count = "both agree" if a.size == 1 else f"{a.size:,} numbers agree"
    size = "exactly" if worst == 0 else f"largest difference {worst:.1e}"
    put(f'<p class="check">{html.escape(what)}: {count}, {size}.</p>')


def claim(what: str, holds: bool) -> None:
    """End the build unless ``holds``; show the sentence ``what`` as checked."""
    assert holds, what
    put(f'<p class="check">{html.escape(what)}</p>')


# ---------------------------------------------------------------------------------------------- figures


def axes(columns: int = 1, width: float = 6.4, height: float = 2.8) -> tuple[Any, Any]:
    """A new figure and its axes (one, or an array of them), in inches of a page some 7 wide."""
    return plt.subplots(1, columns, figsize=(width, height))


def show(figure: Any, caption: str, alt: str) -> None:
    """Put a figure on the page: as SVG in the colours of the page, with a caption, and ``alt`` read aloud.

    It is drawn twice: as it is, and for phones narrow, with its plots one below the other.
    """
    wide = _svg(figure, "wide", alt)
    height, plots = figure.get_figheight(), figure.axes
    grid = figure.add_gridspec(len(plots), 1)
    for plot, place in zip(plots, grid, strict=True):
        plot.set_subplotspec(place)
    figure.set_size_inches(_NARROW, max(2.4, 0.85 * height) * len(plots))
    narrow = _svg(figure, "narrow", alt)
    plt.close(figure)
    put(f'<figure class="live">{wide}{narrow}<figcaption>{caption}</figcaption></figure>')


def _svg(figure: Any, layout: str, alt: str) -> str:
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": layout}):  # both stand on one page, and no name may be there twice
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawing = buffer.getvalue()[buffer.getvalue().index("<svg") :].replace(_INK, "currentColor")
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.S)
    drawing = re.sub(r'font: ([^;"]*)\'sans-serif\'', r"font: \1sans-serif", drawing)
    width = 1.15 * figure.get_figwidth()
    label = html.escape(alt, quote=True)
    head = f'<svg class="{layout}" role="img" aria-label="{label}" style="max-width: {width:.2f}in"'
    return drawing.replace("<svg", head, 1)


def maps(
    pictures: Mapping[str, npt.NDArray[Any]],
    caption: str,
    alt: str,
    colours: str | Mapping[str, str] = "gray",
    signed: Collection[str] = (),
) -> None:
    """Show maps (H, W) or colour pictures (H, W, 3), three in a row, two on phones, each with its title and its range.

    Parameters
    ----------
    pictures
        By title.
    colours
        A colour map of matplotlib for all, or one for each title.
    signed
        Titles of those whose colours are centred on 0; one scale of colours for all of them.
    """
    parts = []
    # The largest of all but a few outliers, which would pale the others.
    limit = max((float(np.percentile(np.abs(pictures[title]), 99.5)) for title in signed), default=1.0)
    for title, picture in pictures.items():
        limits = {"vmin": -limit, "vmax": limit} if title in signed else {}
        colour = colours if isinstance(colours, str) else colours.get(title, "gray")
        name = html.escape(title, quote=True)
        span = "" if picture.ndim == 3 else f"<br>{picture.min():.3g} … {picture.max():.3g}"
        source = _png(picture, cmap="PuOr" if title in signed else colour, **limits)
        parts.append(f'<div>{name}{span}<img src="{source}" alt="{name}"></div>')
    label = html.escape(alt, quote=True)
    group = f'<div class="maps" role="group" aria-label="{label}">{"".join(parts)}</div>'
    put(f'<figure class="live">{group}<figcaption>{caption}</figcaption></figure>')


def _png(picture: npt.NDArray[Any], **looks: Any) -> str:
    """An address that holds the picture itself."""
    buffer = io.BytesIO()
    plt.imsave(buffer, picture, format="png", **looks)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


# ---------------------------------------------------------------------------------------------- tables and bits


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
