"""``curves.png``: losses, accuracies, learning rate and diagnostics over the epochs, drawn with matplotlib."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from binnet_datasets.files import replacing

from ...modelfile import StorageError
from ..diagnostics import Health
from .figures import EpochFigures, Row
from .run_folder import RunFolder

_SHARE = 0.02  # maximum share of the training time that is spent on drawing
# Columns of metrics.csv in each panel of the figure, with their labels.
_PARTS: dict[str, dict[str, str]] = {
    "loss": {"train_loss": "training", "val_loss": "validation"},
    "accuracy": {"train_top1": "training, top-1", "val_top1": "validation, top-1", "val_top5": "validation, top-5"},
    "learning rate": {"lr": "learning rate"},
    "health of the binary layers": {
        "flipped": "signs flipped in the epoch",
        "clipped": "weights at the clip",
        "dead": "dead channels",
        "balance": "+1 among the inputs",
    },
}


class Curves:
    """Report that draws the learning curves after an epoch.

    Drawing takes at most a fiftieth of the time: with short epochs it skips some of them, but never the last one.

    Parameters
    ----------
    folder
        The run folder, whose metrics are drawn.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._drawn = 0  # number of rows in the figure that was drawn last
        self._next = 0.0  # earliest time of the next drawing, on the clock of time.perf_counter

    @staticmethod
    def available() -> bool:
        """Whether matplotlib is installed."""
        return importlib.util.find_spec("matplotlib") is not None

    def epoch(self, figures: EpochFigures, layers: Mapping[str, Health]) -> None:
        """Draw the curves, unless the last drawing is too recent."""
        start = time.perf_counter()
        if start < self._next:
            return
        self._draw()
        end = time.perf_counter()
        self._next = end + (end - start) / _SHARE  # measured, because a drawing takes longer with more epochs

    def close(self) -> None:
        """Draw the last epochs when they have been skipped."""
        if len(self._folder.figures()) > self._drawn:
            self._draw()

    def _draw(self) -> None:
        rows = self._folder.figures()
        draw(rows, self._folder.path.name, self._folder.curves)
        self._drawn = len(rows)


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Draw the rows of ``metrics.csv`` into a PNG file; StorageError when it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Without pyplot: no window system and no global state, so it also works in a thread.
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, columns) in zip(figure.subplots(2, 2).flat, _PARTS.items(), strict=True):
        _part(axes, rows, name, columns)
    figure.suptitle(title, fontsize=9, parse_math=False)  # a folder's name may contain dollar signs
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=100)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _part(axes: Any, rows: Sequence[Row], name: str, columns: Mapping[str, str]) -> None:
    for column, label in columns.items():
        # An empty cell means that there was nothing to count, for example in a network without binary layers.
        points = [(int(row["epoch"]), float(row[column])) for row in rows if row[column]]
        if points:
            axes.plot(*zip(*points, strict=True), ".-", label=label, markersize=4, linewidth=1)
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("epoch", fontsize=8)
    axes.grid(True, alpha=0.2)
    axes.xaxis.get_major_locator().set_params(integer=True)  # there is no epoch 2.5
    if axes.lines and len(columns) > 1:
        axes.legend(fontsize=8, frameon=False)
    # A logarithmic axis cannot show a loss of 0.
    if name == "loss" and all(float(row["train_loss"]) > 0 for row in rows):
        axes.set_yscale("log")
