"""Figures and maps with captions, as SVG and PNG inside the page."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Collection, Mapping
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt

from binnet.live.output import put

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


def axes(columns: int = 1, width: float = 6.4, height: float = 2.8) -> tuple[Any, Any]:
    """A new figure and its axes (one, or an array of them), in inches of a page some 7 wide."""
    figure, plots = plt.subplots(1, columns, figsize=(width, height))
    return figure, plots


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
        kind = ' class="photo"' if picture.ndim == 3 else ""  # maps are dimmed on dark pages, photographs are not
        parts.append(f'<div>{name}{span}<img{kind} src="{source}" alt="{name}"></div>')
    label = html.escape(alt, quote=True)
    group = f'<div class="maps" role="group" aria-label="{label}">{"".join(parts)}</div>'
    put(f'<figure class="live">{group}<figcaption>{caption}</figcaption></figure>')


def _png(picture: npt.NDArray[Any], **looks: Any) -> str:
    """An address that holds the picture itself."""
    buffer = io.BytesIO()
    plt.imsave(buffer, picture, format="png", **looks)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
