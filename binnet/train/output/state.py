"""The state of a training: all that changes while it runs, and its progress."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from ...models import ModelSpec
from ...nn import Module
from ...optim import Optimizer
from ..averaging import Averages
from ..diagnostics import Signs
from ..pretrained.finetune import Start


@dataclass
class Progress:
    """Progress of a training. Together with the arrays of :class:`State` it is the complete state.

    Attributes
    ----------
    total_steps : int
        Length of the training in steps, fixed at its start; 0 until a time budget has been measured.
    epoch : int
        Number of finished epochs.
    batch : int
        Number of batches done in the current epoch.
    loss_sum, correct, seen : float, int, int
        Over those batches: sum of the images' losses, number of correct predictions, number of images.
    best_top1, best_loss : float
        Validation accuracy, as a share, and loss of the best epoch so far; -1 and 0 before the first.
    best_epoch : int
        Number of the best epoch, from 1 on; 0 before the first. After a resume with another number of epochs it is the
        epoch from which patience counts.
    first_loss : float
        Loss of the very first batch; 0 before it.
    high : int
        Number of consecutive batches whose loss was far above the initial loss.
    seconds : float
        Time of training and validation so far.
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
    """Everything that training changes, and the specification of its network.

    Attributes
    ----------
    network : Module
        The network with its real weights.
    optimizer : Optimizer
        The optimiser with its moments.
    progress : Progress
        Counters and best results.
    signs : dict of str to uint64 array
        Packed signs of the binary weights at the end of the previous epoch, from
        :func:`binnet.train.diagnostics.signs`.
    spec : ModelSpec
        Specification from which the network can be rebuilt.
    start : Start or None
        Initialisation of a fine-tuned network.
    averages : Averages or None
        Moving averages of the weights, where the training has some.
    """

    network: Module
    optimizer: Optimizer
    progress: Progress
    signs: Signs
    spec: ModelSpec
    start: Start | None = None
    averages: Averages | None = None

    def averaged(self) -> AbstractContextManager[None]:
        """A block in which the network has the averages for weights, where there are some."""
        return nullcontext() if self.averages is None else self.averages.used()
