"""A training on disk: what it takes to go on from there, bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import storage
from .config import TrainConfig
from .info import DataInfo
from .models import Network
from .optim import Optimizer
from .storage import CHECKPOINT, StorageError


@dataclass
class Progress:
    """How far a training has come. Together with the arrays this is all of its state.

    Attributes
    ----------
    epoch : int
        Epochs finished.
    batch : int
        Batches done of the epoch after them.
    loss_sum, correct, seen : float, int, int
        Of those batches: sum of losses, right answers, images.
    best_top1, best_loss : float
        Of the best epoch so far.
    seconds : float
        Spent on training and validation.
    """

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    best_top1: float = -1.0
    best_loss: float = 0.0
    seconds: float = 0.0


def save(
    path: Path, network: Network, optimizer: Optimizer, config: TrainConfig, info: DataInfo, progress: Progress
) -> None:
    """Write a checkpoint, whole or not at all."""
    arrays = {f"network.{name}": array for name, array in network.state_dict().items()}
    arrays |= {f"optimizer.{name}": array for name, array in optimizer.state_dict().items()}
    description = {"model": network.spec.to_dict(), "data": info.to_dict(), "config": config.to_dict()}
    storage.save(path, CHECKPOINT, arrays, {**description, "progress": asdict(progress)})


def read_config(path: Path) -> TrainConfig:
    """The configuration in a checkpoint; StorageError when there is none."""
    _, _, description = storage.load(path, CHECKPOINT)
    return _config(path, description)


def restore(path: Path, network: Network, optimizer: Optimizer) -> Progress:
    """Bring a network and its optimiser to the state in a checkpoint; StorageError when it does not fit them."""
    _, arrays, description = storage.load(path, CHECKPOINT)
    try:
        network.load_state_dict(_under("network.", arrays))
        optimizer.load_state_dict(_under("optimizer.", arrays))
        return Progress(**description["progress"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} does not fit this training: {error}") from error


def _config(path: Path, description: dict[str, Any]) -> TrainConfig:
    try:
        return TrainConfig.from_dict(description["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} holds no configuration that this binnet understands: {error}") from error


def _under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
