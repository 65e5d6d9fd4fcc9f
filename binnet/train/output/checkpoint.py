"""Checkpoints: the state of a training in a file, from which it resumes bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...modelfile import CHECKPOINT, StorageError, container
from ...modelfile.info import DataInfo, Keys
from ...models import ModelSpec
from ...ops import NotFiniteError
from ..config import TrainConfig
from ..pretrained.finetune import Start
from .image_record import EARLIER, TRAINED_ON, ImageRecord
from .state import Progress, State


def save(path: Path, state: State, config: TrainConfig, info: DataInfo, images: ImageRecord | None = None) -> None:
    """Write a checkpoint atomically; called by all workers, of which the first one writes.

    Parameters
    ----------
    path
        The file; an earlier one is replaced.
    state
        State of the training.
    config, info
        Configuration of the training, and description of its data.
    images
        Record of the images, so that a resumed training can compare them.

    Raises
    ------
    NotFiniteError
        When a number of the state is not finite; an earlier file at ``path`` is kept then.
    StorageError
        When the file cannot be written.
    """
    parts = {"network": state.network.state_dict(), "optimizer": state.optimizer.state_dict(), "signs": state.signs}
    if state.averages is not None:
        parts["averages"] = state.averages.state_dict()
    arrays = {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}
    state.optimizer.workers.communicator.first(lambda: _write(path, arrays, state, config, info, images))


def _write(
    path: Path, arrays: dict[str, Any], state: State, config: TrainConfig, info: DataInfo, images: ImageRecord | None
) -> None:
    # Checked before anything is written: the file at this path may be the last one with usable weights.
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NotFiniteError(f"{name} is no longer finite")
    arrays = (
        arrays | (images.arrays() if images else {}) | ({TRAINED_ON: info.trained_on} if info.trained_on.size else {})
    )
    description: dict[str, Any] = {"model": state.spec.to_dict(), "data": info.to_dict(), "config": config.to_dict()}
    description |= {"progress": asdict(state.progress), "images": images.digest if images else ""}
    description["start"] = None if state.start is None else state.start.to_dict()
    container.save(path, CHECKPOINT, arrays, description)


@dataclass(frozen=True)
class Begun:
    """Configuration and model of a training that was begun earlier, from its checkpoint.

    Attributes
    ----------
    config : TrainConfig
        Configuration of the training.
    spec : ModelSpec
        Specification of its network.
    start : Start or None
        Initialisation of a fine-tuned network; None for other trainings.
    earlier : uint64 (n,)
        Keys of the images of models before, see :class:`ImageRecord`.
    """

    config: TrainConfig
    spec: ModelSpec
    start: Start | None
    earlier: Keys


def read(path: Path) -> Begun:
    """Read configuration and model from a checkpoint; StorageError when that is not possible."""
    _, arrays, description = container.load(path, CHECKPOINT)
    config, earlier = _config(path, description), arrays.get(EARLIER, np.zeros(0, np.uint64))
    try:
        start = description["start"]
        # JSON null stays None; a mapping becomes a Start.
        return Begun(config, ModelSpec.from_dict(description["model"]), start and Start.from_dict(start), earlier)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} has no valid description of its training: {error}") from error


def read_config(path: Path) -> TrainConfig:
    """Read the configuration from a checkpoint; StorageError when there is none."""
    _, _, description = container.load(path, CHECKPOINT)
    return _config(path, description)


def restore(path: Path, state: State, images: ImageRecord | None = None) -> None:
    """Restore the state of a training from a checkpoint.

    Parameters
    ----------
    path
        The checkpoint.
    state
        Changed in place. It must have the network, optimiser and binary layers of the checkpoint.
    images
        Record of the images that the training uses now; they must be those of the checkpoint.

    Raises
    ------
    StorageError
        When the checkpoint cannot be read, or does not fit the state or the images.
    """
    # Read by the first worker: the others may be on machines that do not have the file.
    communicator = state.optimizer.workers.communicator
    _, stored, description = communicator.first(lambda: container.load(path, CHECKPOINT))
    try:
        if images is not None:
            ImageRecord.read(description["data"]["class_names"], stored, description).require_same(images, path)
        progress, signs = Progress(**description["progress"]), _under("signs.", stored)
        # Signs of other shapes would fail only after the first epoch, when flips are counted.
        if {name: words.shape for name, words in signs.items()} != {n: w.shape for n, w in state.signs.items()}:
            raise ValueError("its binary layers are different")
        state.network.load_state_dict(_under("network.", stored))
        state.optimizer.load_state_dict(_under("optimizer.", stored))
        if state.averages is not None:
            state.averages.load_state_dict(_under("averages.", stored))
    except StorageError:  # a ValueError too, but its message is complete
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
