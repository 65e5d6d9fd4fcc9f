"""The workers of a training: how they divide batches and weights among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from . import stand_ins
from .batch import Batch
from .codes import FLOATS, Floats, Rounded
from .communicator import Communicator, lengths, spread

Array = npt.NDArray[Any]


class Divided(Protocol):
    """A parameter whose rows workers may divide among them; see :class:`binnet.Tensor`."""

    array: Array
    rows: slice | None


class Workers:
    """The workers of a training.

    Parameters
    ----------
    communicator
        What they tell each other.
    micro_batches
        Number of parts of each batch that are summed by themselves; at least the number of workers.
    local_norm
        Whether batch normalisation uses the statistics of a worker's own images.
    send_signs
        Whether weights that binary layers use by their signs and scales alone are sent as these. It must be False where
        something else may read the real weights in a step.
    compress
        Bits for each weight of the gradients that several workers send each other (:class:`.codes.Rounded`), 0 for
        floats. It changes the result, which then depends on the number of workers.

    Raises
    ------
    ValueError
        When there are more workers than micro-batches.
    """

    def __init__(
        self,
        communicator: Communicator | None = None,
        micro_batches: int = 1,
        local_norm: bool = False,
        send_signs: bool = True,
        compress: int = 0,
    ) -> None:
        self.communicator = communicator or Communicator()
        self.micro_batches, self.local_norm, self.send_signs = micro_batches, local_norm, send_signs
        self.compress = compress if self.communicator.size > 1 else 0
        self._codes: dict[int, Floats] = {}
        self._incomplete: list[Divided] = []  # parameters in which stand-ins are written
        if self.communicator.size > micro_batches:
            raise ValueError(
                f"{self.communicator.size} workers need as many micro-batches at least: give --micro-batches "
                f"{self.communicator.size} or more, got {micro_batches}"
            )

    @property
    def divided(self) -> bool:
        """Whether batches are divided at all."""
        return self.micro_batches > 1

    def own(self, images: int) -> slice:
        """The images of a batch that this worker runs; at least one, see :class:`binnet.parallel.batch.Batch`."""
        batch = self.batch(images)
        return slice(0, images) if batch is None else batch.own

    def batch(self, images: int) -> Batch | None:
        """A batch of ``images`` images that the workers divide; None where nothing is divided."""
        how = self.communicator, self.micro_batches, images, self.local_norm
        return Batch(*how, self._code) if self.divided else None

    def _code(self, number: int) -> Floats:
        return self._codes.setdefault(number, Rounded(self.compress)) if self.compress else FLOATS

    def forget(self) -> None:
        """Forget what rounding gradients has left over."""
        self._codes.clear()

    def rows(self, array: Array) -> slice | None:
        """The rows of a weight (O, ...) that this worker updates; None for all, as of small arrays."""
        if self.communicator.size == 1 or array.ndim < 2:
            return None
        return spread(len(array), self.communicator.size)[self.communicator.rank]

    def join(self, rows: Array, length: int) -> Array:
        """All rows of a weight or moment, from those that each worker updates."""
        shares = spread(length, self.communicator.size)
        return self.communicator.join(np.ascontiguousarray(rows), lengths(shares))

    def collect(self, rows: Array, length: int) -> Array:
        """:meth:`join` for the first worker only; the others get their own rows back."""
        return self.communicator.collect(np.ascontiguousarray(rows), lengths(spread(length, self.communicator.size)))

    def share_rows(self, params: Iterable[Divided]) -> None:
        """Give all workers the rows that the others have updated, or what stands in for them until :meth:`complete`."""
        divided = [param for param in params if param.rows is not None]
        self._incomplete = [param for param in divided if self.send_signs and getattr(param, "by_signs", False)]
        if self._incomplete:
            stand_ins.share(self.communicator, [param.array for param in self._incomplete])
        replaced = {id(param) for param in self._incomplete}
        self._complete(param for param in divided if id(param) not in replaced)

    def complete(self, statistics: Iterable[Array] = ()) -> None:
        """Give all workers the real weights of all rows; to be called before anything but a step reads them.

        Parameters
        ----------
        statistics
            Running statistics. Where each worker has its own (``local_norm``), their means over workers replace them.
        """
        self._complete(self._incomplete)
        self._incomplete = []
        if self.local_norm and self.communicator.size > 1:
            for array in statistics:
                if array.dtype.kind == "f":  # counts of steps are equal on all workers
                    own = array[None].copy()
                    every = self.communicator.join(own, [1] * self.communicator.size)
                    # In float64 and in the order of ranks, so that all workers get the same bits.
                    array[...] = every.mean(axis=0, dtype=np.float64)

    def _complete(self, params: Iterable[Divided]) -> None:
        for param in params:
            self.communicator.complete(param.array, lengths(spread(len(param.array), self.communicator.size)))


ALONE = Workers()
