"""Metrics of a training for TensorBoard, written with tensorboardX (the extra ``tensorboard``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ..config import ConfigError
from ..diagnostics import Health
from .figures import EpochFigures


def check() -> None:
    """Raise ConfigError when tensorboardX is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError(
            '--tensorboard needs tensorboardX, which comes with an extra: python -m pip install "binnet[tensorboard]"'
        )


class Board:
    """Report that writes scalars: columns of ``metrics.csv`` by name, of ``health.csv`` as ``health/column/layer``.

    Parameters
    ----------
    folder
        Folder of the event files; it is created when it does not exist.
    epochs
        Number of finished epochs. Later values that an interrupted process wrote are hidden.
    """

    def __init__(self, folder: Path, epochs: int = 0) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=epochs + 1 if epochs else None)

    def epoch(self, figures: EpochFigures, layers: Mapping[str, Health]) -> None:
        """Write the metrics of an epoch and the diagnostics of each binary layer."""
        scalars = dict(asdict(figures))
        step = scalars.pop("epoch")
        for layer, health in layers.items():
            scalars |= {f"health/{name}/{layer}": share for name, share in asdict(health).items()}
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()  # so that TensorBoard shows the epoch at once

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
