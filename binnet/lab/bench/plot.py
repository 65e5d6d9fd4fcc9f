"""Plot of figure 4, drawn with matplotlib (the extra ``plot``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binnet_datasets.files import replacing

from .layers import Row

_BINARY, _FLOAT, _THEORY = "#1b6ca8", "#d17a22", "#777777"


def check(path: Path) -> None:
    """Raise ValueError when matplotlib is not installed, or does not support the file type of ``path``."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError('--plot needs matplotlib, which comes with the extra: python -m pip install "binnet[plot]"')
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if _kind(path) not in kinds:
        raise ValueError(f"--plot cannot write {path.name}: its name must end in one of {', '.join(sorted(kinds))}")


def _kind(path: Path) -> str:
    return path.suffix.lstrip(".").lower()


def draw(tables: dict[str, list[Row]], title: str, path: Path) -> None:
    """Draw the three panels of figure 4 side by side.

    Parameters
    ----------
    tables
        The tables ``memory``, ``channels`` and ``filters`` of the measurement.
    title
        Text above the panels.
    path
        The file, whose suffix selects its type; it has passed :func:`check`. ValueError when it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Without pyplot, which would choose a window system.
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    a, b, c = figure.subplots(1, 3)
    _memory(a, tables["memory"])
    _speed(b, tables["channels"], "channels", "(b) speed-up by channels, 3×3 filters")
    b.set_xscale("log", base=2)  # the numbers of channels are powers of two
    b.xaxis.set_major_formatter("{x:g}")
    _speed(c, tables["filters"], "kernel_size", "(c) speed-up by filter size, 256 channels")
    figure.suptitle(title, fontsize=9)
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=_kind(path), dpi=150)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}") from error


def _memory(axes: Any, rows: Sequence[Row]) -> None:
    series = [("double", "double", _THEORY), ("float32", "float32", _FLOAT), ("one_bit", "1 bit", _BINARY)]
    for i, (key, label, colour) in enumerate(series):
        places = [place + (i - 1) * 0.27 for place in range(len(rows))]
        bars = axes.bar(places, [row[key] for row in rows], 0.25, label=label, color=colour)
        axes.bar_label(bars, [f"{row[key]:,.{0 if row[key] >= 100 else 1}f}" for row in rows], padding=3, fontsize=7)
    for key, shift in (("paper_double", -0.27), ("paper_one_bit", 0.27)):
        places, values = [place + shift for place in range(len(rows))], [row[key] for row in rows]
        # Only the second series has a label, so that the legend has one entry for the paper's values.
        axes.plot(places, values, "D", color="black", markersize=3, label="paper" if shift > 0 else None)
    axes.set_xticks(range(len(rows)), [row["network"] for row in rows])
    axes.set(yscale="log", ylabel="MiB", title="(a) memory of all parameters (computed)")
    axes.set_ylim(top=5 * max(row["double"] for row in rows))  # room for the legend above the bars
    axes.title.set_fontsize(10)
    axes.legend(fontsize=8, ncols=4, frameon=False, columnspacing=1.0, handlelength=1.2)


def _speed(axes: Any, rows: Sequence[Row], key: str, title: str) -> None:
    x = [row[key] for row in rows]
    axes.plot(x, [row["theory"] for row in rows], "--", color=_THEORY, label="theory S (section 4.1)")
    axes.plot(x, [row["plain_ratio"] for row in rows], "o-", color=_BINARY, label="over plain float loops")
    axes.plot(x, [row["float32_ratio"] for row in rows], "s-", color=_FLOAT, label="over binnet's float32")
    labels = {"channels": "channels", "kernel_size": "filter size (rows and columns)"}
    axes.set(yscale="log", xlabel=labels[key], ylabel="times faster", title=title)
    axes.title.set_fontsize(10)
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(fontsize=8, frameon=False)
