"""A training on disk: what it takes to go on from there, bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...modelfile import CHECKPOINT, StorageError, container
from ...modelfile.info import DataInfo
from ...models import ModelSpec
from ...nn import Module
from ...ops import NotFiniteError
from ...optim import Optimizer
from ..config import TrainConfig
from ..diagnostics import Signs
from ..finetune import Start
from .image_record import TRAINED_ON, ImageRecord


@dataclass
class Progress:
    """How far a training has come. Together with the arrays this is all of its state.

    Attributes
    ----------
    total_steps : int
        Length of the training in updates, decided when it starts; 0 until a time budget has been measured.
    epoch : int
        Epochs finished.
    batch : int
        Batches done of the epoch after them.
    loss_sum, correct, seen : float, int, int
        Of those batches: sum of losses, right answers, images.
    best_top1, best_loss : float
        Of the best epoch so far.
    best_epoch : int
        Its number, from 1 on, and 0 before the first; or the epoch after which more epochs were asked for.
    first_loss : float
        Of the first batch of all; 0 before it.
    high : int
        Batches in a row whose loss was far above it.
    seconds : float
        Spent on training and validation.
    """

    total_steps: int = 0

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    best_top1: float = -1.0
    best_loss: float = 0.0
    best_epoch: int = 0
    first_loss: float = 0.0
    high: int = 0
    seconds: float = 0.0


@dataclass
class State:
    """All that training changes, and what its network was built from.

    Attributes
    ----------
    network, optimizer, progress
    signs
        Of the binary weights at the end of the epoch before: see :func:`binnet.train.diagnostics.signs`.
    spec : ModelSpec
    start : Start or None
        What a fine-tuned network began with.
    """

    network: Module
    optimizer: Optimizer
    progress: Progress
    signs: Signs
    spec: ModelSpec
    start: Start | None = None


def save(path: Path, state: State, config: TrainConfig, info: DataInfo, images: ImageRecord | None = None) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    NotFiniteError
        When a number of the state is not finite; what was at ``path`` before is still there then.
    StorageError
        When the file cannot be written.
    """
    parts = {"network": state.network.state_dict(), "optimizer": state.optimizer.state_dict(), "signs": state.signs}
    arrays = {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NotFiniteError(f"{name} is no longer finite")
    arrays |= (images.arrays() if images else {}) | ({TRAINED_ON: info.trained_on} if info.trained_on.size else {})
    description: dict[str, Any] = {"model": state.spec.to_dict(), "data": info.to_dict(), "config": config.to_dict()}
    description |= {"progress": asdict(state.progress), "images": images.digest if images else ""}
    description["start"] = None if state.start is None else state.start.to_dict()
    container.save(path, CHECKPOINT, arrays, description)


@dataclass(frozen=True)
class Begun:
    """What a training was begun with, from its checkpoint.

    Attributes
    ----------
    config : TrainConfig
    spec : ModelSpec
    start : Start or None
    """

    config: TrainConfig
    spec: ModelSpec
    start: Start | None


def read(path: Path) -> Begun:
    """What the training in a checkpoint was begun with; StorageError when it cannot be read."""
    _, _, description = container.load(path, CHECKPOINT)
    config = _config(path, description)
    try:
        start = description["start"]
        return Begun(config, ModelSpec.from_dict(description["model"]), start and Start.from_dict(start))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} does not say what its training began with: {error}") from error


def read_config(path: Path) -> TrainConfig:
    """The configuration in a checkpoint; StorageError when there is none."""
    _, _, description = container.load(path, CHECKPOINT)
    return _config(path, description)


def restore(path: Path, state: State, images: ImageRecord | None = None) -> None:
    """Bring a training to the state in a checkpoint; StorageError when it or the present ``images`` do not fit."""
    _, stored, description = container.load(path, CHECKPOINT)
    try:
        if images is not None:
            ImageRecord.read(description["data"]["class_names"], stored, description).require_same(images, path)
        progress, signs = Progress(**description["progress"]), _under("signs.", stored)
        if {name: words.shape for name, words in signs.items()} != {n: w.shape for n, w in state.signs.items()}:
            raise ValueError("the signs are of other layers")
        state.network.load_state_dict(_under("network.", stored))
        state.optimizer.load_state_dict(_under("optimizer.", stored))
    except StorageError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} does not fit this training: {error}") from error
    state.progress, state.signs = progress, signs


def _config(path: Path, description: dict[str, Any]) -> TrainConfig:
    try:
        return TrainConfig.from_dict(description["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} holds no configuration that this binnet understands: {error}") from error


def _under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
