"""A batch that workers divide: its micro-batches, and sums over all of its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_kernels import tree

from .codes import FLOATS, Floats
from .communicator import Communicator, lengths, spread
from .weight_sum import Gradients, GradWeight, Later, WeightSum

Array = npt.NDArray[Any]
Double = npt.NDArray[np.float64]


class Batch:
    """One batch of images, cut into micro-batches of which each worker computes consecutive ones.

    What sums over images is summed for each micro-batch by itself, and these sums are added in one fixed tree
    (:mod:`binnet_kernels.tree`). So results depend on the number of micro-batches, and not on the number of workers.

    Parameters
    ----------
    communicator
        The workers.
    micro_batches
        Number of micro-batches, at least the number of workers.
    images
        Number of images in the whole batch.
    local_norm
        Whether batch normalisation uses the statistics of this worker's images alone; those of the whole batch are
        used all the same where a worker has fewer than two images.
    code
        Returns how the gradient of a weight travels, from its number in the order of the backward pass.

    Attributes
    ----------
    images : int
    first : int
        Number of this worker's first image within the batch.
    rows : int
        Number of images that this worker runs. A worker without a share of a small batch runs one image that does not
        count, because layers need at least one.
    cuts : tuple of int
        Where this worker's micro-batches begin within its images, and where the last one ends.
    """

    def __init__(
        self,
        communicator: Communicator,
        micro_batches: int,
        images: int,
        local_norm: bool = False,
        code: Callable[[int], Floats] = lambda number: FLOATS,
    ) -> None:
        self._code = code
        self.communicator, self.micro_batches, self.images = communicator, micro_batches, images
        self.shares = spread(micro_batches, communicator.size)
        ends = self._ends()
        own = self.shares[communicator.rank]
        self.first = min(ends[own.start], images - 1)
        self.cuts = tuple(end - ends[own.start] for end in ends[own.start : own.stop + 1])
        self.rows = max(self.cuts[-1], 1)
        counts = [ends[share.stop] - ends[share.start] for share in self.shares]
        self.local_norm = local_norm and min(counts) > 1  # one image has no variance, and none no statistics
        self._pending: list[WeightSum] = []

    def _ends(self) -> list[int]:
        return [self.images * i // self.micro_batches for i in range(self.micro_batches + 1)]

    @property
    def own(self) -> slice:
        """The images that this worker runs, as a slice of the batch."""
        return slice(self.first, self.first + self.rows)

    def per_image(self, array: Array) -> int:
        """How many rows each image has in an array whose first axis goes through the images.

        Raises
        ------
        ValueError
            When the first axis does something else.
        """
        rows, rest = divmod(int(array.shape[0]), self.rows)
        if rest:
            raise ValueError(
                f"with several micro-batches the first axis must go through the {self.rows} images, got {array.shape}"
            )
        return int(rows)

    def parts(self, array: Array, part_sum: Callable[[slice], Any]) -> Double:
        """``part_sum`` of every micro-batch of the whole batch.

        Parameters
        ----------
        array
            Its first axis goes through the images of this worker.
        part_sum
            Returns the sum over a slice of that axis as a float64 array, zeros for an empty slice.

        Returns
        -------
        float64 (micro-batches, ...)
        """
        rows = self.per_image(array)
        own = np.stack([np.asarray(part_sum(slice(a * rows, b * rows)), np.float64) for a, b in pairwise(self.cuts)])
        joined: Double = self.communicator.join(own, lengths(self.shares))
        return joined

    def total(self, array: Array, part_sum: Callable[[slice], Any]) -> Double:
        """The sum over all images of the batch; arguments are those of :meth:`parts`."""
        return self.add_up(self.parts(array, part_sum))

    def add_up(self, parts: Double) -> Double:
        """The sum of what :meth:`parts` returns, in the order of the tree."""
        known = {(i, i + 1): part for i, part in enumerate(parts)}
        total: Double = tree.add_up(known, (0, self.micro_batches), np.add)
        return total

    def counts(self, array: Array) -> Double:
        """Number of rows of every micro-batch, as :meth:`parts` divides them: float64 (micro-batches,)."""
        rows: Double = np.diff(self._ends()) * np.float64(self.per_image(array))
        return rows

    def gather(self, values: Array) -> Array:
        """Values of all images of the batch, from the values (rows, ...) of this worker's images."""
        ends = self._ends()
        counts = [ends[share.stop] - ends[share.start] for share in self.shares]
        return self.communicator.join(np.ascontiguousarray(values[: self.cuts[-1]]), counts)

    def largest(self, values: Array) -> Array:
        """The largest of each element over all workers that have images; NaN wins."""
        # A worker without images of its own must not count.
        own = values if self.cuts[-1] else np.full_like(values, -np.inf)
        return self.communicator.largest(own)

    def weight_gradients(
        self, grad_weight: GradWeight, then: Gradients, shapes: Sequence[tuple[int, ...] | None]
    ) -> tuple[Later | None, ...]:
        """Begin to sum a gradient of weights over all images of the batch.

        Parameters
        ----------
        grad_weight
            Returns the gradient (O, ...), summed over the images of this worker between cuts.
        then
            Turns rows of the whole sum into rows of the gradients of inputs.
        shapes
            Shapes of these gradients, None for those that are not needed.

        Returns
        -------
        tuple of Later
            They get their values at the latest in :meth:`finish`.
        """
        code = self._code(len(self._pending))
        pending = WeightSum(self.communicator, self.micro_batches, self.cuts, grad_weight, then, shapes, code)
        self._pending.append(pending)
        return tuple(None if shape is None else Later(pending, place, shape) for place, shape in enumerate(shapes))

    def finish(self) -> None:
        """Wait for all gradients of weights, and hand them to their parameters."""
        for pending in self._pending:
            pending.finish()
        self._pending.clear()
