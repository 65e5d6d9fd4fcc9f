"""Inputs of a training beside its configuration and data: custom network, pretrained model, teacher, checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..modelfile.info import Keys
from ..models import own_network
from ..models.own_network import OwnNetwork, is_own
from ..parallel.communicator import Communicator
from .config import TrainConfig
from .output import checkpoint
from .output.checkpoint import Begun
from .pretrained.model import Pretrained
from .pretrained.model import read as read_model
from .pretrained.teacher import TEACHER, Teacher


@dataclass(frozen=True)
class Origin:
    """Files that are read before the data, so that an error in one of them shows at once.

    Attributes
    ----------
    own : OwnNetwork or None
        The Python file that builds a custom network.
    pretrained : Pretrained or None
        The model that is fine-tuned; None on resume, because the checkpoint records what was taken from it.
    teacher : Teacher or None
        The model whose scores are learned; on resume, that in the run folder.
    begun : Begun or None
        Configuration and model of a resumed training, from its checkpoint.
    """

    own: OwnNetwork | None = None
    pretrained: Pretrained | None = None
    teacher: Teacher | None = None
    begun: Begun | None = None

    @classmethod
    def of(cls, config: TrainConfig, last: Path, resume: bool, communicator: Communicator) -> Origin:
        """Read the files that a configuration names. This runs the Python file of a custom network.

        Parameters
        ----------
        config
            Configuration of the training.
        last
            Path of the training's checkpoint. A training that was stopped before it wrote one starts from the
            beginning.
        resume
            Whether to continue from that checkpoint.
        communicator
            The workers; the first one reads checkpoint, model and teacher.

        Raises
        ------
        OwnNetworkError
            When the Python file cannot be run, or has changed since a resumed training began.
        StorageError
            When the model, teacher or checkpoint cannot be read.
        """
        begun = communicator.first(lambda: checkpoint.read(last) if resume and last.is_file() else None)
        own = None
        if is_own(config.model):
            # FILE.py:FUNCTION; the last colon, because a path on Windows has one behind its drive.
            file = Path(str(config.model).rpartition(":")[0])
            how = f"undo the change (the original is kept in {last.parent / file.name}), or start a new training"
            own = own_network.load(str(config.model), None if begun is None else begun.spec, how)
        fresh = config.init is not None and begun is None
        # Read by the first worker, like the checkpoint: the others may be on machines that do not have the file.
        pretrained = communicator.first(lambda: read_model(str(config.init))) if fresh else None
        if config.teacher is None:
            return cls(own, pretrained, None, begun)
        # What the training began with, whatever has become of the teacher's own file since.
        kept = last.parent / TEACHER
        teacher = str(kept) if resume and (begun is not None or kept.is_file()) else config.teacher
        return cls(own, pretrained, communicator.first(lambda: Teacher.read(teacher)), begun)

    @property
    def seen(self) -> Keys:
        """Keys of the images that the model which is fine-tuned, or the teacher, was trained on; uint64 (n,)."""
        found = [] if self.begun is None else [self.begun.earlier]
        found += [] if self.pretrained is None else [self.pretrained.info.trained_on]
        found += [] if self.teacher is None else [self.teacher.model.info.trained_on]
        return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))

    @property
    def channels(self) -> int | None:
        """Number of image channels that the pretrained model expects; None without a pretrained model."""
        if self.pretrained is not None:
            return self.pretrained.channels
        return self.begun.spec.in_channels if self.begun is not None and self.begun.start is not None else None
