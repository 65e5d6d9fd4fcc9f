"""The folder of one training: its configuration, checkpoints, packed model, figures and log."""

from __future__ import annotations

import contextlib
import csv
import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

from binnet_datasets.files import replacing, why
from binnet_system import commands
from binnet_system.locks import lock
from binnet_system.names import refuse_device

from ...modelfile import StorageError
from ...models.own_network import OwnNetwork
from ...parallel.communicator import Communicator
from ..config import TrainConfig
from ..diagnostics import Health
from ..pretrained.teacher import TEACHER, Teacher

Row = dict[str, str]
LAST, PACKED, CONFIG = "last.h5", "packed.h5", "config.toml"
STAGES = "stages.toml"  # configuration of a training in several stages
STAGE = "stage{}"  # folder of each of them but the last, which has the run folder itself


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


def _by_the_first(method: Callable[..., None]) -> Callable[..., None]:
    """A method that the first worker alone runs; the others get its errors."""

    @wraps(method)
    def run(self: RunFolder, *arguments: Any, **options: Any) -> None:
        self.communicator.first(lambda: method(self, *arguments, **options))

    return run


class RunFolder:
    """The run folder: paths of its files, its tables and its log.

    Tables are replaced atomically, so that a reader never sees an incomplete one. Only one training can use a folder at
    a time, see :meth:`held`.

    Parameters
    ----------
    path
        The folder; it is created when it does not exist.
    communicator
        Of several workers the first one alone writes.

    Raises
    ------
    StorageError
        When the folder cannot be created or written to.
    """

    def __init__(self, path: Path, communicator: Communicator | None = None) -> None:
        self.path, self.communicator = path, communicator or Communicator()
        self.last, self.best, self.packed = path / LAST, path / "best.h5", path / PACKED
        self.teacher = path / TEACHER
        self.curves, self.tensorboard = path / "curves.png", path / "tensorboard"
        self._config, self._log = path / CONFIG, path / "log.txt"
        self._stages, self._stage1 = path / STAGES, path / STAGE.format(1)
        self._metrics = _Table(path / "metrics.csv", METRICS)
        self._health = _Table(path / "health.csv", HEALTH)
        self._create()

    @_by_the_first
    def _create(self) -> None:
        with _writing(self.path, "to the folder "):
            refuse_device(self.path.name)
            self.path.mkdir(parents=True, exist_ok=True)
            self._log.touch()  # shows now, and not after an epoch, that the folder is writable

    @contextlib.contextmanager
    def held(self) -> Iterator[RunFolder]:
        """Context manager that locks the folder; StorageError when another training uses it.

        A training that ends with an error before it began leaves nothing in the folder, which can then be used again.
        """
        cleared, staged = True, self._stages.exists()
        try:
            with contextlib.ExitStack() as held:
                self._lock(held)
                try:
                    yield self
                except BaseException:
                    if self.communicator.speaks and not self._is_begun():
                        cleared = self._clear(staged)
                    raise
        finally:
            if not cleared:
                self._clear(staged)  # once more: Windows deletes no file that is open, as the log was

    def _is_begun(self) -> bool:
        """Whether a training began here, or its first stage in a folder of its own."""
        return any((folder / name).exists() for folder in (self.path, self._stage1) for name in (LAST, CONFIG))

    def _clear(self, staged: bool) -> bool:
        """Remove what a training made before it began: not ``stages.toml`` if ``staged``. False when that failed."""
        with contextlib.suppress(OSError):
            self._stage1.rmdir()  # removes it only when it is empty
        try:
            if not staged:
                self._stages.unlink(missing_ok=True)
            if not self._log.stat().st_size:
                self._log.unlink()
        except OSError:
            return False
        return True

    @_by_the_first
    def _lock(self, held: contextlib.ExitStack) -> None:
        with _writing(self._log):
            file = held.enter_context(self._log.open("a", encoding="utf-8"))
        try:
            lock(file)
        except BlockingIOError:
            raise StorageError(
                f"another training is running in {self.path}; wait for its end, or choose another --out"
            ) from None

    @_by_the_first
    def start(
        self,
        config: TrainConfig,
        again: bool = False,
        own: OwnNetwork | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Write the configuration, empty tables, the teacher and a copy of the Python file of a custom network.

        Parameters
        ----------
        config
            Configuration of the training.
        again
            Whether a training may have begun here already, as long as it wrote no checkpoint.
        own
            The custom network, if there is one.
        teacher
            The teacher, if there is one, which a resumed training reads from here.

        Raises
        ------
        StorageError
            When the folder holds another training, or cannot be written to.
        """
        if self.last.exists() or (self._config.exists() and not again):
            resume = commands.line(["--resume", str(self.path)])
            raise StorageError(f"{self.path} already holds a training; continue with {resume}, or choose another --out")
        _write(self._config, config.to_toml())
        for table in (self._metrics, self._health):
            table.keep([])
        if own is not None:
            _write(self.path / own.path.name, own.text)
        if teacher is not None:
            teacher.model.save(self.teacher)

    @_by_the_first
    def note_stages(self, config: TrainConfig) -> None:
        """Write the configuration of a training in stages as a whole, of which this folder has the last stage."""
        _write(self._stages, config.to_toml())

    @_by_the_first
    def log(self, text: str) -> None:
        """Append a line with the local time to ``log.txt``."""
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        with _writing(self._log), self._log.open("a", encoding="utf-8") as file:
            file.write(f"{now}  {text}\n")

    @_by_the_first
    def add_figures(self, figures: EpochFigures, layers: Mapping[str, Health]) -> None:
        """Add a row to ``metrics.csv``, and one for each binary layer to ``health.csv``."""
        rows = [{"epoch": figures.epoch, "layer": layer, **asdict(health)} for layer, health in layers.items()]
        # health.csv first: an epoch that stands in metrics.csv then has its diagnostics, even after a crash.
        self._health.add(*(_cells(row) for row in rows))
        self._metrics.add(_cells(asdict(figures)))

    def figures(self) -> list[Row]:
        """The rows of ``metrics.csv``."""
        return list(self._metrics.rows)

    @_by_the_first
    def resume(self, config: TrainConfig, epochs: int) -> None:
        """Prepare the folder of a training that is resumed after ``epochs`` epochs.

        Later rows are dropped, because they will be written again, and so are incomplete temporary files.
        """
        _write(self._config, config.to_toml())
        for table in (self._metrics, self._health):
            table.keep([row for row in table.read() if row["epoch"].isdigit() and int(row["epoch"]) <= epochs])
        with _writing(self.path, "to the folder "):
            for part in self.path.glob(".*.part"):
                part.unlink(missing_ok=True)


def new_folder(path: Path) -> Path:
    """Create a new folder, ``path`` or ``path-2``, ``path-3``, …; StorageError when that fails."""
    with _writing(path, "to the folder "):
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in count(2):
            try:
                path.mkdir()  # without exist_ok: two trainings that start at once get two folders
                return path
            except FileExistsError:
                path = path.with_name(f"{path.name.removesuffix(f'-{number - 1}')}-{number}")
    raise AssertionError("count() has no end")


def read_figures(folder: Path) -> list[Row]:
    """Read the rows of ``metrics.csv``, cells as text; an empty list when there is no such file."""
    return _Table(folder / "metrics.csv", METRICS).read()


class _Table:
    """A CSV file that is replaced as a whole on every change."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns
        self.rows: list[Row] = []

    def read(self) -> list[Row]:
        """The complete rows of the file; an empty list when there is no such file."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        cells = [line for line in csv.reader(lines[1:]) if len(line) == len(self.columns)]
        return [dict(zip(self.columns, line, strict=True)) for line in cells]

    def keep(self, rows: list[Row]) -> None:
        """Replace the contents by these rows."""
        lines = [self.columns, *([row[column] for column in self.columns] for row in rows)]
        _write(self.path, "".join(",".join(line) + "\n" for line in lines))
        self.rows = rows

    def add(self, *rows: Row) -> None:
        """Append rows."""
        self.keep([*self.rows, *rows])


@contextlib.contextmanager
def _writing(path: Path, what: str = "") -> Iterator[None]:
    """Context manager that turns an OSError into a StorageError with the path."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {what}{path}: {why(error)}") from error


def _write(path: Path, text: str) -> None:
    with _writing(path), replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))  # a copy has the bytes of its original, on Windows too


def _cells(row: Mapping[str, float | int | str | None]) -> Row:
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
