"""Report of a table: Markdown with the paper's results beside ours, and curves where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binnet_datasets.files import replacing

from ... import __version__
from ...modelfile import StorageError
from .runs import Outcome
from .tables import Table

# Options that the rows show, or that do not change a result.
_LEFT_OUT = {"model", "binarize", "data", "dataset", "workers", "checkpoint_every", "tensorboard"}


def write(table: Table, outcomes: Sequence[Outcome], out: Path, command: str) -> Path:
    """Write ``out/<table>.md`` and, with matplotlib, ``out/<table>.png``; return the path of the former.

    Parameters
    ----------
    table, outcomes
        The table, and the outcomes of its rows.
    out
        Folder of the report.
    command
        Command line that produces the report, which is quoted in it.

    Raises
    ------
    StorageError
        When a file cannot be written.
    """
    picture = out / f"{table.name}.png" if importlib.util.find_spec("matplotlib") else None
    body, path = markdown(table, outcomes, picture.name if picture else None), out / f"{table.name}.md"
    text = f"## {table.title}\n\n```\n{command}\n```\n\n{body}"
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        if picture is not None:
            with replacing(picture) as temporary:
                draw(outcomes, temporary)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    return path


def markdown(table: Table, outcomes: Sequence[Outcome], picture: str | None = None) -> str:
    """The table as Markdown, with accuracies in per cent of the best and of the last epoch.

    A conclusion is within the noise when the measured difference is less than two standard deviations away from the
    value at which the conclusion changes. The deviation is that of two accuracies on independent images.
    """
    top1, first = {o.row.label: 100 * o.result.top1 for o in outcomes}, outcomes[0]
    # Either costs or the paper's accuracies: both would make the table too wide, and no table has both.
    beside = "ms a step | of the first" if first.costs else "paper, top-1 | top-5"
    lines = [_settings(outcomes), ""]
    lines += [f"| | run | top-1 | top-5 | last epoch | training loss | {beside} | time |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|---:|---:|", *(_line(o, first) for o in outcomes), ""]
    if first.costs:
        batch, machine = first.config.batch_size, first.costs.machine
        lines += [f"A step: forward, backward and update of {batch} images, all rows in turn; {machine}.", ""]
    verdicts = [(claim.text, claim.verdict(top1, first.result.n)) for claim in table.claims]
    # With --rows, none of the conclusions may have both of its rows.
    if any(verdict for _, verdict in verdicts):
        lines += ["| the paper | here | |", "|---|---:|---|"]
        lines += [f"| {text} | {found.ahead:+.1f} | {found.words} |" for text, found in verdicts if found]
        lines += [""]
    return "\n".join(lines + ([f"![curves]({picture})", ""] if picture else []))


def _settings(outcomes: Sequence[Outcome]) -> str:
    """A sentence with the data, the options that all rows share, and the version of binnet."""
    config, result = outcomes[0].config, outcomes[0].result
    # Only options that differ from their defaults: the rest of a configuration says nothing about a comparison.
    changed = [o.config.changed() for o in outcomes]
    shared = {
        name: v for name, v in changed[0].items() if all(c.get(name) == v for c in changed) and name not in _LEFT_OUT
    }
    data = config.dataset or Path(str(config.data)).name  # reports do not show folders of this machine
    options = ", ".join(f"{name} {v}" for name, v in {"seed": config.seed, "epochs": config.epochs, **shared}.items())
    return f"{data}, {result.n:,} validation images; {options}; binnet {__version__}. Accuracies in per cent."


def _line(outcome: Outcome, first: Outcome) -> str:
    result, last = outcome.result, outcome.epochs[-1]
    measured = [f"{100 * result.top1:.1f}", f"{100 * result.top5:.1f}", f"{100 * float(last['val_top1']):.1f}"]
    cells = [
        outcome.row.label.replace("|", "\\|"),  # "max|g|" would end the cell
        outcome.row.name,
        *measured,
        f"{float(last['train_loss']):.2f}",
        *_beside(outcome, first),
        _duration(result.seconds),
    ]
    return f"| {' | '.join(cells)} |"


def _beside(outcome: Outcome, first: Outcome) -> list[str]:
    """Two cells: time of a step and its ratio to the first row where known, otherwise the paper's accuracies."""
    if outcome.costs:
        return [f"{1e3 * outcome.step:.1f}", f"{outcome.step / first.step:.2f}"]
    return ["", ""] if outcome.row.paper is None else [f"{score:.1f}" for score in outcome.row.paper]


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:.0f} s"


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw training loss, validation accuracy and, where known, accuracy against cost of all rows into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    costs = outcomes[0].costs is not None
    figure = Figure(figsize=(16 if costs else 11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subplots(1, 3 if costs else 2)
    _curves(parts[0], outcomes, "train_loss", "training loss")
    _curves(parts[1], outcomes, "val_top1", "validation, top-1")
    parts[1].legend(fontsize=8, frameon=False)
    if costs:
        _against_cost(parts[2], outcomes)
    figure.savefig(path, format="png", dpi=100)


def _curves(axes: Any, outcomes: Sequence[Outcome], column: str, title: str) -> None:
    for outcome in outcomes:
        points = [(int(row["epoch"]), float(row[column])) for row in outcome.epochs]
        axes.plot(*zip(*points, strict=True), ".-", label=outcome.row.label, markersize=4, linewidth=1)
    axes.set(title=title, xlabel="epoch")
    axes.grid(True, alpha=0.2)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _against_cost(axes: Any, outcomes: Sequence[Outcome]) -> None:
    """Plot a point for each row in the colour of its curves, with a label that does not overlap another."""
    x, y = [o.step / outcomes[0].step for o in outcomes], [o.result.top1 for o in outcomes]
    width, height, lines = max(x) - min(x), max(y) - min(y), {True: 0.0, False: 0.0}
    # From bottom to top: a label that would overlap the one below it on the same side moves up by a line.
    for i in sorted(range(len(outcomes)), key=y.__getitem__):
        left = x[i] <= (min(x) + max(x)) / 2
        lines[left] = max(y[i], lines[left] + 0.05 * height)
        axes.plot(x[i], y[i], "o", color=f"C{i}", markersize=5)
        place = (x[i] + (0.02 if left else -0.02) * width, lines[left])
        axes.text(*place, outcomes[i].row.label, color=f"C{i}", fontsize=8, ha="left" if left else "right", va="center")
    axes.set(title="accuracy against cost", xlabel=f"time of a step, × {outcomes[0].row.label}", ylabel="top-1")
    axes.margins(0.08, 0.15)  # room for the labels of the outermost points
    axes.grid(True, alpha=0.2)
