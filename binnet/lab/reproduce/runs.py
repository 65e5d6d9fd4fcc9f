"""Training the networks of a table one after the other, each in a folder of its own; an interrupted series goes on."""

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
from ...train.config import ConfigError, TrainConfig, read_toml
from ...train.output import checkpoint
from ...train.output.run_folder import Row as Figures
from ...train.output.run_folder import read_figures
from ..bench.training import Step
from . import costs
from .costs import Costs
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
    costs : Costs or None
        Of the rows of the table, where it is about costs and they are known.
    """

    row: Row
    config: TrainConfig
    result: Result
    epochs: list[Figures]
    costs: Costs | None = None

    @property
    def step(self) -> float:
        """Seconds of a training step; only with ``costs``."""
        assert self.costs is not None
        return self.costs.seconds[self.row.name]


def run(table: Table, options: Mapping[str, Any], out: Path, console: Console) -> list[Outcome]:
    """Train every network of a table that is not there yet, and measure their steps where the table is about costs.

    Parameters
    ----------
    table
        What to compare.
    options
        Of :class:`TrainConfig`, for all rows.
    out
        Each row has the folder ``out/<name of the row>``. One that is finished is taken as it is, one that was
        interrupted goes on; both must have the same configuration. Costs are measured together, when one of the rows
        has none in ``out/<table>-steps.json``.
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
    return _with_costs(table, outcomes, out, console)


def recorded(table: Table, out: Path) -> list[Outcome]:
    """The outcomes of the rows finished in ``out``, from ``config.toml``, ``metrics.csv`` and ``result.json`` of each.

    Costs are taken from ``<table>-steps.json``, and left out when it is not there or lacks a row.

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
    return _with_costs(table, outcomes, out)


def _with_costs(table: Table, outcomes: list[Outcome], out: Path, console: Console | None = None) -> list[Outcome]:
    """The same with the costs of their steps, if the table is about them; measured where unknown, with a console."""
    if not table.costs:
        return outcomes
    path = costs.file_of(table.name, out)
    found = costs.recorded(path, [o.row.name for o in outcomes])
    if found is None and console is not None:
        steps = {o.row.name: Step(o.config, _spec(out / o.row.name / "packed.h5")) for o in outcomes}
        found = costs.measured(steps, path, console)
    return [replace(outcome, costs=found) for outcome in outcomes]


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


def _spec(path: Path) -> ModelSpec:
    """Of which network a packed model is."""
    return ModelSpec.from_dict(open_model(path).packed.built or {})
