"""The figures of a training for TensorBoard, written by tensorboardX (the extra ``tensorboard``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ..config import ConfigError
from ..diagnostics import Health
from .run_folder import EpochFigures


def check() -> None:
    """ConfigError when tensorboardX is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError(
            "--tensorboard needs tensorboardX, which comes with an extra: python -m pip install 'binnet[tensorboard]'"
        )


class Board:
    """Writes scalars: the columns of ``metrics.csv`` by name, and those of ``health.csv`` as ``health/column/layer``.

    Parameters
    ----------
    folder
        Where; made when it does not exist.
    epochs
        Finished already: later figures of an earlier process are hidden.
    """

    def __init__(self, folder: Path, epochs: int = 0) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=epochs + 1 if epochs else None)

    def epoch(self, figures: EpochFigures, layers: Mapping[str, Health]) -> None:
        """After an epoch."""
        scalars = dict(asdict(figures))
        step = scalars.pop("epoch")
        for layer, health in layers.items():
            scalars |= {f"health/{name}/{layer}": share for name, share in asdict(health).items()}
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """At the end."""
        self._writer.close()
