"""Costs of a table's rows: the time of a training step, measured once and stored beside the runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from binnet_datasets.files import replacing

from ...console import Console
from ...modelfile import StorageError
from ..bench.machine import this_machine
from ..bench.training import Step, times

_SECONDS, _ROUNDS = 2.0, 5  # time for each row, divided into rounds in which the rows take turns


@dataclass(frozen=True)
class Costs:
    """Times of a training step of the rows of a table, measured in turn.

    Attributes
    ----------
    seconds : mapping
        Seconds of a step by the name of the row.
    machine : str
        CPU and number of threads of the measurement.
    """

    seconds: Mapping[str, float]
    machine: str


def file_of(table: str, out: Path) -> Path:
    """The path of the file with the costs of a table."""
    return out / f"{table}-steps.json"


def recorded(path: Path, names: Sequence[str]) -> Costs | None:
    """Read costs from a file; None when it is missing or lacks a row, StorageError when it is damaged."""
    if not path.is_file():
        return None
    try:
        costs = Costs(**json.loads(path.read_text(encoding="utf-8")))
        seconds = {name: float(value) for name, value in costs.seconds.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is damaged: delete it, and the steps are measured again ({error})") from error
    # Rows from different measurements cannot be compared, so one missing row means to measure all again.
    return Costs(seconds, str(costs.machine)) if seconds.keys() >= set(names) else None


def measured(steps: Mapping[str, Step], path: Path, console: Console) -> Costs:
    """Measure the steps of all rows in turn, by name, and write the costs into a file; StorageError when it fails."""
    console.say(f"\nmeasuring a step of each of the {len(steps)} networks")
    machine = this_machine()
    where = f"{machine.cpu}, {machine.threads} thread{'' if machine.threads == 1 else 's'}"
    with console.progress(len(steps) * _ROUNDS, "turns") as advance:
        costs = Costs(times(steps, _SECONDS, _ROUNDS, lambda name: advance(1, name)), where)
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(costs), indent=1), encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    return costs
