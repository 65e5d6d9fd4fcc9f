"""Exponential moving averages of the weights: what is validated and kept, while training goes on with the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn import Module
from ..parallel.workers import Workers

Array = npt.NDArray[Any]
_UPDATES = "updates"


class Averages:
    """The averages ``a ← d a + (1 − d) w`` of all learning weights ``w`` of a network (arXiv:1412.6980, section 7.2).

    Update t has the decay d = min(decay, (1 + t) / (10 + t)), so that the first weights, drawn at random, are soon
    forgotten. A binary layer computes with the signs and scales of its average. Running statistics of normalisations
    are averages already, and stay what they are. Where workers divide the rows of a weight, each averages its own.

    Parameters
    ----------
    network
        Its parameters must not be replaced by others.
    decay
        In (0, 1).
    workers
        They divide the rows of the weights.
    """

    def __init__(self, network: Module, decay: float, workers: Workers) -> None:
        self.decay, self.workers, self.updates = decay, workers, 0
        self._params: dict[str, Tensor] = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._own = {name: self._rows(p).copy() for name, p in self._params.items()}

    def _rows(self, param: Tensor) -> Array:
        """The part of a weight that this worker updates, as a view."""
        rows: Array = param.array if param.rows is None else param.array[param.rows]
        return rows

    def update(self) -> None:
        """Average the weights that an update of the optimiser has just left; to be called once for each."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, average in self._own.items():
            average += np.float32(1 - decay) * (self._rows(self._params[name]) - average)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Within it the network has the averages for weights; all workers enter together, with complete weights."""
        kept = {name: p.array.copy() for name, p in self._params.items()}
        try:
            self._set(self._complete())
            yield
        finally:
            self._set(kept)

    def _set(self, weights: Mapping[str, Array]) -> None:
        for name, weight in weights.items():
            self._params[name].memory.before_change()  # graphs that still need the old values notice (ADR 0024)
            self._params[name].array[...] = weight

    def state_dict(self) -> dict[str, Array]:
        """The averages by the names of their weights, and the number of updates; all workers call it together."""
        return {**self._complete(), _UPDATES: np.array(self.updates)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """The inverse of :meth:`state_dict`; KeyError or ValueError when names or shapes are others."""
        if set(state) != {*self._own, _UPDATES}:
            raise ValueError("its averages are of other weights")
        for name, param in self._params.items():
            if state[name].shape != param.shape:
                raise ValueError(f"the average of {name} has the shape {state[name].shape}, expected {param.shape}")
            self._own[name][...] = state[name] if param.rows is None else state[name][param.rows]
        self.updates = int(state[_UPDATES])

    def _complete(self) -> dict[str, Array]:
        """The averages with the rows of all workers."""
        return {
            name: average if self._params[name].rows is None else self.workers.join(average, len(self._params[name]))
            for name, average in self._own.items()
        }
