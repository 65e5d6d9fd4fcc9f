"""Whether and for which batch operations are recorded, and what each keeps for its backward pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

from .parallel.batch import Batch
from .parallel.weight_sum import Gradients, GradWeight, Later

Double = npt.NDArray[np.float64]
Grad = Float | Later | None


class _State(threading.local):
    enabled = True
    recorder: Any = None  # a binnet.recording.Recorder, told of every module and call
    batch: Batch | None = None  # the batch of this pass, where workers or micro-batches divide it


state = _State()


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return state.enabled


@contextmanager
def no_grad() -> Iterator[None]:
    """Within this block, and this thread, nothing is recorded and no result requires a gradient."""
    before, state.enabled = state.enabled, False
    try:
        yield
    finally:
        state.enabled = before


@contextmanager
def dividing(batch: Batch | None) -> Iterator[Batch | None]:
    """Within this block, operations on tensors of images are parts of those on ``batch``, unless it is None."""
    before, state.batch = state.batch, batch
    try:
        yield batch
    finally:
        state.batch = before


class Context:
    """The values that a forward pass keeps for its backward pass.

    Attributes
    ----------
    needs_grad
        One flag an input; ``backward`` may return None where it is False, and should not compute anything for it.
    owns_grad
        In the backward pass: whether nobody else reads ``grad``, so that ``backward`` may write to it and return it.
    of_images
        One flag an input: whether its first axis goes through the images of ``batch``.
    batch
        The batch that workers or micro-batches divide; None when no input has its images, and in a training that
        divides nothing.
    """

    def __init__(
        self, needs_grad: tuple[bool, ...], of_images: tuple[bool, ...] = (), batch: Batch | None = None
    ) -> None:
        self.needs_grad, self.owns_grad = needs_grad, False
        self.of_images, self.batch = of_images, batch if any(of_images) else None
        self.saved: tuple[Any, ...] = ()
        # Whether the result has images, too. A function that sums over them sets it to False.
        self.gives_images = self.batch is not None

    def save(self, *values: Any) -> None:
        """Keep ``values`` as ``saved`` for the backward pass; nothing is kept when there will be none."""
        if any(self.needs_grad):
            self.saved = values

    def reusable(self, grad: Float) -> Float | None:
        """``grad`` itself where its memory may be used for a result of the same shape, else None."""
        return grad if self.owns_grad else None

    def images(self, array: Float) -> int:
        """Number of images of the whole batch, where the first axis of ``array`` goes through those of this worker."""
        return len(array) if self.batch is None else self.batch.images

    def sum_images(self, array: Float, part_sum: Callable[[slice], Any]) -> Double:
        """A sum over all images: that of ``part_sum`` over micro-batches.

        Parameters
        ----------
        array
            Its first axis goes through the images.
        part_sum
            Returns the sum over a slice of that axis, in float64.
        """
        if self.batch is None:
            total: Double = part_sum(slice(None))
            return total
        return self.batch.total(array, part_sum)

    def all_images(self, values: Any) -> Any:
        """``values`` (N, ...) of all images of the batch, from those of this worker's."""
        return values if self.batch is None else self.batch.gather(values)

    def weight_gradients(
        self, grad_weight: GradWeight, then: Gradients, shapes: Sequence[tuple[int, ...] | None]
    ) -> tuple[Grad, ...]:
        """Gradients that come from ∂C/∂W̃, which is summed over all images.

        Parameters
        ----------
        grad_weight
            Returns ∂C/∂W̃ (O, ...) for cuts, see :func:`binnet_kernels.conv2d_grad_weight`.
        then
            ``then(grad, rows)`` turns rows of ∂C/∂W̃ into rows of the gradients of the inputs.
        shapes
            Of these gradients; None where there is none.
        """
        if self.batch is None:
            return then(grad_weight(None), slice(None))
        return self.batch.weight_gradients(grad_weight, then, shapes)
