"""Training the networks of a table one after the other, each in a folder of its own; an interrupted series goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import checkpoint
from ..config import ConfigError, TrainConfig, read_toml
from ..console import Console
from ..run_folder import Row as Figures
from ..run_folder import read_figures
from ..storage import StorageError, replacing
from ..train import Result, fit
from .tables import Row, Table


@dataclass(frozen=True)
class Outcome:
    """A row and what came of it.

    Attributes
    ----------
    row : Row
    config : TrainConfig
        As it was run.
    result : Result
        Of the best epoch.
    epochs : list of dict
        The rows of ``metrics.csv``.
    """

    row: Row
    config: TrainConfig
    result: Result
    epochs: list[Figures]


def run(table: Table, options: Mapping[str, Any], out: Path, console: Console) -> list[Outcome]:
    """Train every network of a table that is not there yet.

    Parameters
    ----------
    table
        What to compare.
    options
        Of :class:`TrainConfig`, for all rows.
    out
        Each row has the folder ``out/<name of the row>``. One that is finished is taken as it is, one that was
        interrupted goes on; both must have the same configuration.
    console
        Where to report.

    Raises
    ------
    ConfigError
        When an option is one that the rows decide, or a folder holds a run of another configuration.
    TrainingError, TrainingInterruptedError, DataError, StorageError
        See :func:`binnet.train.fit`.
    """
    for name in sorted(table.fixed & set(options)):
        raise ConfigError(
            f"--{name.replace('_', '-')} cannot be given here: it is what the rows of {table.name} differ in"
        )
    outcomes = []
    for number, row in enumerate(table.rows, 1):
        console.say(f"\n[{number}/{len(table.rows)}] {row.label}")
        config = TrainConfig.from_dict({**options, **row.options})
        outcomes.append(_run(row, config, out / row.name, console))
    return outcomes


def recorded(table: Table, out: Path) -> list[Outcome]:
    """The outcomes of the rows finished in ``out``, from ``config.toml``, ``metrics.csv`` and ``result.json`` of each.

    Raises
    ------
    StorageError, ConfigError
        When one of these files is missing or damaged.
    """
    outcomes = []
    for row in table.rows:
        folder = out / row.name
        if (folder / "result.json").is_file():
            config = TrainConfig.from_dict(read_toml(folder / "config.toml"))
            outcomes.append(Outcome(row, config, _read(folder / "result.json"), read_figures(folder)))
    return outcomes


def _run(row: Row, config: TrainConfig, folder: Path, console: Console) -> Outcome:
    result = folder / "result.json"
    if result.is_file() or (folder / "last.h5").is_file():
        _check_same(config, folder)
    if result.is_file():
        console.say(f"done before: {folder}")
        return Outcome(row, config, _read(result), read_figures(folder))
    reached = fit(config, folder, resume=(folder / "last.h5").is_file(), console=console)
    try:
        with replacing(result) as temporary:
            temporary.write_text(json.dumps(asdict(reached), indent=1), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {result}: {error.strerror}") from error
    return Outcome(row, config, reached, read_figures(folder))


def _check_same(config: TrainConfig, folder: Path) -> None:
    """ConfigError, naming an option, when the run in a folder had another configuration."""
    wanted, found = config.to_dict(), checkpoint.read_config(folder / "last.h5").to_dict()
    for name, value in wanted.items():
        if value is not None and found.get(name) != value:
            raise ConfigError(
                f"{folder} holds a run with {name} {found.get(name)}, and {value} is asked for: choose another --out"
            )


def _read(path: Path) -> Result:
    try:
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(f"{path} is damaged: delete it, and the row is evaluated again ({error})") from error
