"""The tables of a run folder: the figures of each epoch, in files that are replaced as a whole."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from binnet_datasets.files import replacing, why

from ...modelfile import StorageError
from ..diagnostics import Health

Row = dict[str, str]


@dataclass(frozen=True)
class EpochFigures:
    """One row of ``metrics.csv``. Losses in nats, accuracies as shares; None is an empty cell.

    ``seconds`` is the time of the training so far, not of the epoch. ``wait`` is the share of the training time in
    which the next batch was not ready; the last four columns are those of :class:`binnet.train.diagnostics.Health` over
    all binary layers.
    """

    epoch: int
    lr: float
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    val_top5: float
    images_per_s: float
    seconds: float
    wait: float
    flipped: float | None = None
    clipped: float | None = None
    dead: float | None = None
    balance: float | None = None


METRICS = tuple(f.name for f in fields(EpochFigures))
HEALTH = ("epoch", "layer", *(f.name for f in fields(Health)))


def read_figures(folder: Path) -> list[Row]:
    """Read the rows of ``metrics.csv``, cells as text; an empty list when there is no such file."""
    return Table(folder / "metrics.csv", METRICS).read()


class Table:
    """A CSV file that is replaced as a whole on every change."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns
        self.rows: list[Row] = []

    def read(self) -> list[Row]:
        """The complete rows of the file; an empty list when there is no such file."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        rows = [line for line in csv.reader(lines[1:]) if len(line) == len(self.columns)]
        return [dict(zip(self.columns, line, strict=True)) for line in rows]

    def keep(self, rows: list[Row]) -> None:
        """Replace the contents by these rows."""
        lines = [self.columns, *([row[column] for column in self.columns] for row in rows)]
        write(self.path, "".join(",".join(line) + "\n" for line in lines))
        self.rows = rows

    def add(self, *rows: Row) -> None:
        """Append rows."""
        self.keep([*self.rows, *rows])


@contextlib.contextmanager
def writing(path: Path, what: str = "") -> Iterator[None]:
    """Context manager that turns an OSError into a StorageError with the path."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {what}{path}: {why(error)}") from error


def write(path: Path, text: str) -> None:
    """Replace the file by ``text``, atomically; StorageError when that fails."""
    with writing(path), replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))  # a copy has the bytes of its original, on Windows too


def cells(row: Mapping[str, float | int | str | None]) -> Row:
    """The text of each cell; None is an empty one."""
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
