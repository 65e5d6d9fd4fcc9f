"""Report of a table: Markdown with the paper's results beside ours, and curves where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binnet_datasets.files import replacing

from ... import __version__
from ...modelfile import StorageError
from .chance import Accuracy
from .comparison import Table
from .runs import Outcome

# Options that the rows show, or that do not change a result.
_LEFT_OUT = {"model", "binarize", "data", "dataset", "workers", "checkpoint_every", "tensorboard", "seed"}


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
            temporary.write_text(text, encoding="utf-8", newline="\n")
        if picture is not None:
            with replacing(picture) as temporary:
                draw(outcomes, temporary)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    return path


def markdown(table: Table, outcomes: Sequence[Outcome], picture: str | None = None) -> str:
    """The table as Markdown, with accuracies in per cent of the best and of the last epoch.

    Where rows have several runs, which differ in their seeds, all figures are means over them, and ``±`` is the sample
    standard deviation. What the words about a conclusion mean is in :class:`Verdict`, and what chance can cause in
    :func:`limit`.
    """
    first = outcomes[0]
    beside = _headings(outcomes)
    lines = [_settings(outcomes), ""]
    lines += [f"| | run | top-1 | top-5 | last epoch | training loss | {''.join(f'{b} | ' for b in beside)}time |"]
    lines += ["|---|---|---:|---:|---:|---:|" + "---:|" * len(beside) + "---:|"]
    lines += [*(_line(o, first, bool(beside)) for o in outcomes), ""]
    if any(len(o.runs) > 1 for o in outcomes):
        lines += ["Figures are means over the seeds; ± is the sample standard deviation.", ""]
    if first.costs:
        batch, machine = first.config.batch_size, first.costs.machine
        lines += [f"A step: forward, backward and update of {batch} images, all rows in turn; {machine}.", ""]
    lines += _conclusions(table, outcomes)
    return "\n".join(lines + ([f"![curves]({picture})", ""] if picture else []))


def _headings(outcomes: Sequence[Outcome]) -> list[str]:
    """Headings of two columns: the costs or the paper's accuracies, of which no table has both; none without either."""
    if outcomes[0].costs:
        return ["ms a step", "of the first"]
    return ["paper on ImageNet, top-1", "top-5"] if any(o.row.paper for o in outcomes) else []


def _conclusions(table: Table, outcomes: Sequence[Outcome]) -> list[str]:
    """Lines of the table of conclusions; with --rows, none of them may have both of its rows."""
    top1 = {o.row.label: o.top1 for o in outcomes}
    verdicts = [(claim.text, claim.verdict(top1)) for claim in table.claims]
    lines = [f"| {text} | {found.ahead:+.1f} | {found.words} |" for text, found in verdicts if found]
    return [f"| {table.source} | here | |", "|---|---:|---|", *lines, ""] if lines else []


def _settings(outcomes: Sequence[Outcome]) -> str:
    """A sentence with the data, the options that all rows share, and the version of binnet."""
    config, n = outcomes[0].config, outcomes[0].n
    # Only options that differ from their defaults: the rest of a configuration says nothing about a comparison.
    changed = [o.config.changed() for o in outcomes]
    options = {name: v for name, v in changed[0].items() if v is not None and name not in _LEFT_OUT}
    shared = {name: v for name, v in options.items() if all(c.get(name) == v for c in changed)}
    data = config.dataset or Path(str(config.data)).name  # reports do not show folders of this machine
    words = ", ".join(f"{name} {v}" for name, v in {"epochs": config.epochs, **shared}.items())
    seeds = _seeds(outcomes)
    return f"{data}, {n:,} validation images; {seeds}{words}; binnet {__version__}. Accuracies in per cent."


def _seeds(outcomes: Sequence[Outcome]) -> str:
    """The seeds of all rows, and a sign between them and the other options."""
    seeds = sorted({run.config.seed for outcome in outcomes for run in outcome.runs})
    return f"seed {seeds[0]}, " if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}; "


def _line(outcome: Outcome, first: Outcome, beside: bool) -> str:
    runs, last = outcome.runs, [run.epochs[-1] for run in outcome.runs]
    cells = [
        outcome.row.label.replace("|", "\\|"),  # "max|g|" would end the cell
        outcome.row.name + (f", {len(runs)} seeds" if len(runs) > 1 else ""),
        str(outcome.top1),
        str(outcome.top5),
        str(Accuracy(tuple(100 * float(epoch["val_top1"]) for epoch in last), outcome.n)),
        f"{statistics.fmean(float(epoch['train_loss']) for epoch in last):.2f}",
        *(_beside(outcome, first) if beside else []),
        _duration(statistics.fmean(run.result.seconds for run in runs)),
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
    """Plot a curve for each run; those of a row have its colour, and from the eleventh row on, dashes as well."""
    for i, outcome in enumerate(outcomes):
        style = {"color": f"C{i}", "linestyle": "-" if i < 10 else "--", "markersize": 4, "linewidth": 1}
        for number, run in enumerate(outcome.runs):
            points = [(int(row["epoch"]), float(row[column])) for row in run.epochs]
            label = "_" if number else outcome.row.label  # the legend has each row once
            axes.plot(*zip(*points, strict=True), marker=".", label=label, **style)
    axes.set(title=title, xlabel="epoch")
    axes.grid(True, alpha=0.2)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _against_cost(axes: Any, outcomes: Sequence[Outcome]) -> None:
    """Plot a point for each row in the colour of its curves, with a label that does not overlap another."""
    x, y = [o.step / outcomes[0].step for o in outcomes], [o.top1.mean / 100 for o in outcomes]
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
