"""The folder of one training: its configuration, checkpoints, packed model, figures and log."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

from binnet_system import commands
from binnet_system.locks import lock
from binnet_system.names import refuse_device

from ...modelfile import StorageError
from ...models.own_network import OwnNetwork
from ...parallel.communicator import Communicator
from ..config import TrainConfig
from ..diagnostics import Health
from ..pretrained.teacher import TEACHER, Teacher
from .figures import HEALTH, METRICS, EpochFigures, Row, Table, cells, write, writing

LAST, PACKED, CONFIG = "last.h5", "packed.h5", "config.toml"
STAGES = "stages.toml"  # configuration of a training in several stages
STAGE = "stage{}"  # folder of each of them but the last, which has the run folder itself


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
        self._metrics = Table(path / "metrics.csv", METRICS)
        self._health = Table(path / "health.csv", HEALTH)
        self._create()

    @_by_the_first
    def _create(self) -> None:
        with writing(self.path, "to the folder "):
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
        with writing(self._log):
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
        write(self._config, config.to_toml())
        for table in (self._metrics, self._health):
            table.keep([])
        if own is not None:
            write(self.path / own.path.name, own.text)
        if teacher is not None:
            teacher.model.save(self.teacher)

    @_by_the_first
    def note_stages(self, config: TrainConfig) -> None:
        """Write the configuration of a training in stages as a whole, of which this folder has the last stage."""
        write(self._stages, config.to_toml())

    @_by_the_first
    def log(self, text: str) -> None:
        """Append a line with the local time to ``log.txt``."""
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        with writing(self._log), self._log.open("a", encoding="utf-8") as file:
            file.write(f"{now}  {text}\n")

    @_by_the_first
    def add_figures(self, figures: EpochFigures, layers: Mapping[str, Health]) -> None:
        """Add a row to ``metrics.csv``, and one for each binary layer to ``health.csv``."""
        rows = [{"epoch": figures.epoch, "layer": layer, **asdict(health)} for layer, health in layers.items()]
        # health.csv first: an epoch that stands in metrics.csv then has its diagnostics, even after a crash.
        self._health.add(*(cells(row) for row in rows))
        self._metrics.add(cells(asdict(figures)))

    def figures(self) -> list[Row]:
        """The rows of ``metrics.csv``."""
        return list(self._metrics.rows)

    @_by_the_first
    def resume(self, config: TrainConfig, epochs: int) -> None:
        """Prepare the folder of a training that is resumed after ``epochs`` epochs.

        Later rows are dropped, because they will be written again, and so are incomplete temporary files.
        """
        write(self._config, config.to_toml())
        for table in (self._metrics, self._health):
            table.keep([row for row in table.read() if row["epoch"].isdigit() and int(row["epoch"]) <= epochs])
        with writing(self.path, "to the folder "):
            for part in self.path.glob(".*.part"):
                part.unlink(missing_ok=True)


def new_folder(path: Path) -> Path:
    """Create a new folder, ``path`` or ``path-2``, ``path-3``, …; StorageError when that fails."""
    with writing(path, "to the folder "):
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in count(2):
            try:
                path.mkdir()  # without exist_ok: two trainings that start at once get two folders
                return path
            except FileExistsError:
                path = path.with_name(f"{path.name.removesuffix(f'-{number - 1}')}-{number}")
    raise AssertionError("count() has no end")
