"""What a training begins with beside its configuration: a file of one's own, a trained model, its own checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..models import own_network
from ..models.own_network import OwnNetwork, is_own
from . import finetune
from .config import TrainConfig
from .finetune import Pretrained
from .output import checkpoint
from .output.checkpoint import Begun


@dataclass(frozen=True)
class Origin:
    """What is read before the data, so that what is wrong with it shows at once.

    Attributes
    ----------
    own : OwnNetwork or None
        The file that builds a network of one's own.
    pretrained : Pretrained or None
        The model that is fine-tuned; None on resume, when the checkpoint knows what was taken from it.
    begun : Begun or None
        What the checkpoint of a resumed training says.
    """

    own: OwnNetwork | None = None
    pretrained: Pretrained | None = None
    begun: Begun | None = None

    @classmethod
    def of(cls, config: TrainConfig, last: Path, resume: bool) -> Origin:
        """Read what a configuration names; this runs the file of a network of one's own.

        Parameters
        ----------
        config
            Of the training.
        last
            Its checkpoint. A resumed training that was stopped before its first one begins anew.
        resume
            Whether to go on from there.

        Raises
        ------
        OwnNetworkError
            When that file cannot be run, or on resume has changed.
        StorageError
            When the model or checkpoint cannot be read.
        """
        begun = checkpoint.read(last) if resume and last.is_file() else None
        own = None
        if is_own(config.model):
            file = Path(str(config.model).rpartition(":")[0])
            how = f"undo the change ({last.parent / file.name} is a copy of it as it was), or begin a new training"
            own = own_network.load(str(config.model), None if begun is None else begun.spec, how)
        fresh = config.init is not None and begun is None
        return cls(own, finetune.read(str(config.init)) if fresh else None, begun)

    @property
    def channels(self) -> int | None:
        """Of the images that a fine-tuned model takes; None when there is none."""
        if self.pretrained is not None:
            return self.pretrained.channels
        return self.begun.spec.in_channels if self.begun is not None and self.begun.start is not None else None
