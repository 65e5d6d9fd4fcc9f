"""Runs of a table: train its networks one after the other, each in its own folder; interrupted runs are resumed."""

from __future__ import annotations

import json
import re
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
from ...train.output.figures import Row as Figures
from ...train.output.figures import read_figures
from ...train.stages import configurations
from ..bench.training import Step
from . import costs
from .chance import Accuracy
from .comparison import Row, Table
from .costs import Costs


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes
    ----------
    config : TrainConfig
        Its configuration.
    result : Result
        Result of the best epoch.
    epochs : list of dict
        The rows of ``metrics.csv``, cells as text.
    """

    config: TrainConfig
    result: Result
    epochs: list[Figures]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a row: its trainings and what they reached.

    Attributes
    ----------
    row : Row
        The row of the table.
    runs : tuple of Run
        One for each seed, at least one; their configurations differ in the seed only.
    costs : Costs or None
        Costs of all rows of the table, where the table compares them and they are known.
    """

    row: Row
    runs: tuple[Run, ...]
    costs: Costs | None = None

    @property
    def config(self) -> TrainConfig:
        """Configuration of the first run."""
        return self.runs[0].config

    @property
    def n(self) -> int:
        """Number of validation images."""
        return self.runs[0].result.n

    @property
    def top1(self) -> Accuracy:
        """Top-1 of the best epoch of each run, per cent."""
        return Accuracy(tuple(100 * run.result.top1 for run in self.runs), self.n)

    @property
    def top5(self) -> Accuracy:
        """Top-5 of the same epochs, per cent."""
        return Accuracy(tuple(100 * run.result.top5 for run in self.runs), self.n)

    @property
    def step(self) -> float:
        """Seconds of a training step; ``costs`` must be known."""
        assert self.costs is not None
        return self.costs.seconds[self.row.name]


def run(
    table: Table, options: Mapping[str, Any], out: Path, console: Console, seeds: int | None = None
) -> list[Outcome]:
    """Train the networks of a table that are missing, and measure their steps where the table compares costs.

    Parameters
    ----------
    table
        The rows to run.
    options
        Options of :class:`TrainConfig` for all rows.
    out
        Folder of the runs; each row has the folder ``out/<name of the row>``, and with several seeds
        ``out/<name of the row>-seed1`` and so on. A finished run is reused and an interrupted one resumed; both must
        have the same configuration. Costs are measured for all rows together, when one of them has none in
        ``out/<table>-steps.json``.
    console
        Receives progress and messages.
    seeds
        With more than 1 each row is trained with the seeds 1 to ``seeds``; otherwise once, with the seed of the
        options.

    Returns
    -------
    list of Outcome
        One for each row, in order.

    Raises
    ------
    ConfigError
        When an option is one in which the rows differ, ``seeds`` is below 1 or stands beside the option ``seed``, or a
        folder holds a run with another configuration.
    TrainingError, TrainingInterruptedError, DataError, StorageError
        See :func:`binnet.train.fit`.
    """
    _check_options(table, options, seeds)
    own = [None] if seeds in (None, 1) else range(1, seeds + 1)
    # Seed by seed: when the series is interrupted, all rows have the same number of runs but for one.
    plan = [(row, seed) for seed in own for row in table.rows]
    found: dict[str, list[Run]] = {row.name: [] for row in table.rows}
    configs = [_config(row, options, seed) for row, seed in plan]
    for config, (row, seed) in zip(configs, plan, strict=True):
        configurations(config, _folder(row, out, seed))  # before the first row is trained: are all stages possible?
    # One after the other: each training already uses all cores.
    for number, (config, (row, seed)) in enumerate(zip(configs, plan, strict=True), 1):
        console.say(f"\n[{number}/{len(plan)}] {row.label}" + ("" if seed is None else f", seed {seed}"))
        found[row.name].append(_run(config, _folder(row, out, seed), console))
    outcomes = [Outcome(row, tuple(found[row.name])) for row in table.rows]
    return _with_costs(table, outcomes, out) or _measured(table, outcomes, out, own[0], console)


def recorded(table: Table, out: Path) -> list[Outcome]:
    """Read the outcomes of the finished rows in ``out`` from ``config.toml``, ``metrics.csv`` and ``result.json``.

    A row has all its runs with a seed in their names, ``<name of the row>-seed1`` and so on, and only where there is
    none the run ``<name of the row>``. Costs are read from ``<table>-steps.json``; they are None when it is missing or
    lacks a row.

    Raises
    ------
    StorageError, ConfigError
        When one of these files is missing or damaged.
    """
    outcomes = []
    for row in table.rows:
        folders = _of_seeds(row, out) or [_folder(row, out, None)]
        runs = tuple(_recorded(folder) for folder in folders if (folder / "result.json").is_file())
        if runs:
            outcomes.append(Outcome(row, runs))
    return _with_costs(table, outcomes, out) or outcomes


def _check_options(table: Table, options: Mapping[str, Any], seeds: int | None) -> None:
    for name in sorted(table.fixed & set(options)):
        raise ConfigError(f"--{name.replace('_', '-')} cannot be given here: the rows of {table.name} set it")
    if seeds is not None and seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    if seeds is not None and "seed" in options:
        raise ConfigError("--seed and --seeds cannot be given together: --seeds N trains with the seeds 1 to N")


def _config(row: Row, options: Mapping[str, Any], seed: int | None) -> TrainConfig:
    return TrainConfig.from_dict({**options, **row.options, **({} if seed is None else {"seed": seed})})


def _folder(row: Row, out: Path, seed: int | None) -> Path:
    """The folder of a run; ``seed`` None where the row has a single one."""
    return out / (row.name if seed is None else f"{row.name}-seed{seed}")


def _of_seeds(row: Row, out: Path) -> list[Path]:
    """The folders of the finished runs of a row with a seed in their names, by seed."""
    found = {}
    for path in out.glob("*/result.json"):
        if match := re.fullmatch(re.escape(row.name) + r"-seed(\d+)", path.parent.name):
            found[int(match[1])] = path.parent
    return [found[seed] for seed in sorted(found)]


def _with_costs(table: Table, outcomes: list[Outcome], out: Path) -> list[Outcome] | None:
    """The outcomes with costs if the table compares them; None where they are not known yet."""
    if not table.costs:
        return outcomes
    found = costs.recorded(costs.file_of(table.name, out), [o.row.name for o in outcomes])
    return None if found is None else [replace(outcome, costs=found) for outcome in outcomes]


def _measured(table: Table, outcomes: list[Outcome], out: Path, seed: int | None, console: Console) -> list[Outcome]:
    """The outcomes with costs, which are measured for the networks in the folders of a seed."""
    # Classes and image size come from the packed model: the run's data need not be there any more.
    steps = {o.row.name: Step(o.config, _spec(_folder(o.row, out, seed) / "packed.h5")) for o in outcomes}
    found = costs.measured(steps, costs.file_of(table.name, out), console)
    return [replace(outcome, costs=found) for outcome in outcomes]


def _recorded(folder: Path) -> Run:
    config = TrainConfig.from_dict(whole.read(folder))
    return Run(config, _read(folder / "result.json"), read_figures(folder))


def _run(config: TrainConfig, folder: Path, console: Console) -> Run:
    # result.json is written last, so that it marks a finished run.
    result = folder / "result.json"
    begun = whole.is_begun(folder)
    if result.is_file() or begun:
        _check_same(config, folder)
    if result.is_file():
        console.say(f"done before: {folder}")
        return Run(config, _read(result), read_figures(folder))
    # Begun, and without result.json: the run was interrupted, so it is resumed.
    reached = fit(config, folder, resume=begun, console=console)
    try:
        with replacing(result) as temporary:
            temporary.write_text(json.dumps(asdict(reached), indent=1), encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(f"cannot write {result}: {error.strerror}") from error
    return Run(config, reached, read_figures(folder))


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
