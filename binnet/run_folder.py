"""The folder of one training: its configuration, checkpoints, packed model, figures and log."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .config import TrainConfig
from .storage import StorageError, replacing


@dataclass(frozen=True)
class EpochFigures:
    """One row of ``metrics.csv``. Losses in nats, accuracies as shares, times in seconds."""

    epoch: int
    lr: float
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    val_top5: float
    images_per_s: float
    seconds: float


class RunFolder:
    """Paths of a training and what is written line by line.

    Parameters
    ----------
    path
        Made when it does not exist.

    Raises
    ------
    StorageError
        When the folder cannot be made or written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last, self.best, self.packed = path / "last.h5", path / "best.h5", path / "packed.h5"
        self._config, self._metrics, self._log = path / "config.toml", path / "metrics.csv", path / "log.txt"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._log.touch()
        except OSError as error:
            raise StorageError(f"cannot write to the folder {path}: {error.strerror}") from error

    def start(self, config: TrainConfig) -> None:
        """Begin: the configuration, and an empty table of figures."""
        self._write(self._config, config.to_toml())
        self._write(self._metrics, _csv([]))

    def log(self, text: str) -> None:
        """Add a line with the time to ``log.txt``."""
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._append(self._log, f"{now}  {text}\n")

    def add_figures(self, figures: EpochFigures) -> None:
        """Add a row to ``metrics.csv``."""
        self._append(self._metrics, _csv([[_cell(v) for v in asdict(figures).values()]], head=False))

    def keep_figures(self, epochs: int) -> None:
        """Drop rows past ``epochs``: a resumed training writes them again."""
        lines = self._metrics.read_text().splitlines() if self._metrics.exists() else []
        rows = [row for row in csv.reader(lines[1:]) if len(row) == len(fields(EpochFigures))]
        self._write(self._metrics, _csv([row for row in rows if row[0].isdigit() and int(row[0]) <= epochs]))

    def _append(self, path: Path, text: str) -> None:
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error

    def _write(self, path: Path, text: str) -> None:
        try:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _csv(rows: Sequence[Sequence[str]], head: bool = True) -> str:
    names = [[f.name for f in fields(EpochFigures)]] if head else []
    return "".join(",".join(row) + "\n" for row in [*names, *rows])


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"
