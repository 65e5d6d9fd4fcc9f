"""Runs of a table: train its networks one after the other, each in its own folder; interrupted runs are resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from binnet_datasets.files import replacing

from ...console import Console
from ...evaluation.evaluate import open_model
from ...modelfile import StorageError
from ...models import ModelSpec
from ...train import Result, fit
from ...train.config import ConfigError, TrainConfig
from ...train.output import whole
from ...train.output.run_folder import Row as Figures
from ...train.output.run_folder import read_figures
from ..bench.training import Step
from . import costs
from .costs import Costs
from .tables import Row, Table


@dataclass(frozen=True)
class Outcome:
    """Outcome of a row: its training and what that reached.

    Attributes
    ----------
    row : Row
        The row of the table.
    config : TrainConfig
        Configuration of the training.
    result : Result
        Result of the best epoch.
    epochs : list of dict
        The rows of ``metrics.csv``, cells as text.
    costs : Costs or None
        Costs of all rows of the table, where the table compares them and they are known.
    """

    row: Row
    config: TrainConfig
    result: Result
    epochs: list[Figures]
    costs: Costs | None = None

    @property
    def step(self) -> float:
        """Seconds of a training step; ``costs`` must be known."""
        assert self.costs is not None
        return self.costs.seconds[self.row.name]


def run(table: Table, options: Mapping[str, Any], out: Path, console: Console) -> list[Outcome]:
    """Train the networks of a table that are missing, and measure their steps where the table compares costs.

    Parameters
    ----------
    table
        The rows to run.
    options
        Options of :class:`TrainConfig` for all rows.
    out
        Folder of the runs; each row has the folder ``out/<name of the row>``. A finished run is reused and an
        interrupted one resumed; both must have the same configuration. Costs are measured for all rows together, when
        one of them has none in ``out/<table>-steps.json``.
    console
        Receives progress and messages.

    Returns
    -------
    list of Outcome
        One for each row, in order.

    Raises
    ------
    ConfigError
        When an option is one in which the rows differ, or a folder holds a run with another configuration.
    TrainingError, TrainingInterruptedError, DataError, StorageError
        See :func:`binnet.train.fit`.
    """
    for name in sorted(table.fixed & set(options)):
        raise ConfigError(f"--{name.replace('_', '-')} cannot be given here: the rows of {table.name} set it")
    outcomes = []
    # One after the other: each training already uses all cores.
    for number, row in enumerate(table.rows, 1):
        console.say(f"\n[{number}/{len(table.rows)}] {row.label}")
        config = TrainConfig.from_dict({**options, **row.options})
        outcomes.append(_run(row, config, out / row.name, console))
    return _with_costs(table, outcomes, out, console)


def recorded(table: Table, out: Path) -> list[Outcome]:
    """Read the outcomes of the finished rows in ``out`` from ``config.toml``, ``metrics.csv`` and ``result.json``.

    Costs are read from ``<table>-steps.json``; they are None when it is missing or lacks a row.

    Raises
    ------
    StorageError, ConfigError
        When one of these files is missing or damaged.
    """
    outcomes = []
    for row in table.rows:
        folder = out / row.name
        if (folder / "result.json").is_file():
            config = TrainConfig.from_dict(whole.read(folder))
            outcomes.append(Outcome(row, config, _read(folder / "result.json"), read_figures(folder)))
    return _with_costs(table, outcomes, out)


def _with_costs(table: Table, outcomes: list[Outcome], out: Path, console: Console | None = None) -> list[Outcome]:
    """The outcomes with costs, if the table compares them; unknown ones are measured when there is a console."""
    if not table.costs:
        return outcomes
    path = costs.file_of(table.name, out)
    found = costs.recorded(path, [o.row.name for o in outcomes])
    if found is None and console is not None:
        # Classes and image size come from the packed model: the run's data need not be there any more.
        steps = {o.row.name: Step(o.config, _spec(out / o.row.name / "packed.h5")) for o in outcomes}
        found = costs.measured(steps, path, console)
    return [replace(outcome, costs=found) for outcome in outcomes]


def _run(row: Row, config: TrainConfig, folder: Path, console: Console) -> Outcome:
    # result.json is written last, so that it marks a finished run.
    result = folder / "result.json"
    begun = whole.is_begun(folder)
    if result.is_file() or begun:
        _check_same(config, folder)
    if result.is_file():
        console.say(f"done before: {folder}")
        return Outcome(row, config, _read(result), read_figures(folder))
    # Begun, and without result.json: the run was interrupted, so it is resumed.
    reached = fit(config, folder, resume=begun, console=console)
    try:
        with replacing(result) as temporary:
            temporary.write_text(json.dumps(asdict(reached), indent=1), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {result}: {error.strerror}") from error
    return Outcome(row, config, reached, read_figures(folder))


def _check_same(config: TrainConfig, folder: Path) -> None:
    """Raise ConfigError that names an option when the run in a folder has another configuration."""
    wanted, found = config.to_dict(), TrainConfig.from_dict(whole.read(folder)).to_dict()
    for name, value in wanted.items():
        # None is filled in from the data, so a run may have any value there.
        if value is not None and found.get(name) != value:
            raise ConfigError(
                f"{folder} holds a run with {name} {found.get(name)}, and {value} is asked for: choose another --out"
            )


def _read(path: Path) -> Result:
    try:
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(f"{path} is damaged: delete it, and the row is evaluated again ({error})") from error


def _spec(path: Path) -> ModelSpec:
    """The specification of the network of a packed model."""
    return ModelSpec.from_dict(open_model(path).packed.built or {})
