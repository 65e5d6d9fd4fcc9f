"""When a training has diverged: its loss is not finite, or stays far above the initial one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from ..nn import LayerError
from ..ops import NotFiniteError
from .output.run_folder import RunFolder
from .output.state import Progress

_HIGH = 10  # a loss above this multiple of the initial loss counts as far too high
_DOUBT = 10  # this many such batches in a row: no checkpoint is written, so that the last good one stays
_DIVERGED = 100  # this many such batches in a row end the training


class TrainingError(ValueError):
    """The training diverged, or its packed model predicts differently from the trained one."""


def doubtful(progress: Progress) -> bool:
    """Whether the last batches had so high a loss that the state is not worth a checkpoint."""
    return progress.high >= _DOUBT


def diverged(folder: RunFolder, what: str) -> TrainingError:
    """The error that says what happened, which goes to the log as well, and what to do."""
    folder.log(what)
    return TrainingError(f"{what}; try a lower --lr ({folder.last} is the last good checkpoint)")


def check_loss(loss: float, lr: float, progress: Progress, num_classes: int, folder: RunFolder) -> None:
    """Raise TrainingError when the loss is not finite, or has been far too high for 100 batches in a row.

    Parameters
    ----------
    loss
        Mean loss of the batch, in nats for the cross-entropy.
    lr
        Learning rate of the batch, for the message.
    progress
        Where the training is; the first loss and the number of high ones are updated in it.
    num_classes
        Number of classes: uniform predictions have the loss log(num_classes).
    folder
        Its log gets the message too.
    """
    p = progress
    where = f"epoch {p.epoch + 1}, batch {p.batch + 1} (lr {lr:.3g})"
    if not math.isfinite(loss):
        raise diverged(folder, f"the loss became {loss} at {where}")
    p.first_loss = p.first_loss or loss
    # log C is the loss of uniform predictions; it keeps a small initial loss from making the limit too strict.
    limit = _HIGH * max(p.first_loss, math.log(num_classes))
    p.high = p.high + 1 if loss > limit else 0
    if p.high >= _DIVERGED:
        raise diverged(folder, f"the loss has been above {limit:.3g} for {p.high} batches at {where}")


@contextmanager
def finite(lr: float, progress: Progress, folder: RunFolder) -> Iterator[None]:
    """Context manager that turns a NotFiniteError of a layer into a TrainingError with epoch, batch and rate."""
    try:
        yield
    except (LayerError, NotFiniteError) as error:
        # A LayerError carries the layer's name and wraps the error of the operator. Other errors pass unchanged.
        if not isinstance(error, NotFiniteError) and not isinstance(error.__cause__, NotFiniteError):
            raise
        where = f"epoch {progress.epoch + 1}, batch {progress.batch + 1} (lr {lr:.3g})"
        raise diverged(folder, f"{error} at {where}") from error
