"""What shows whether a binary network is learning: signs that flip, weights at the clip, dead channels, balance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ..autograd import Tensor
from ..nn import Module
from ..nn.binary import BinaryLayer

Signs = dict[str, npt.NDArray[np.uint64]]
_SAMPLE = 256  # validation images looked at, spread evenly: enough for shares, and little beside the validation itself


@dataclass(frozen=True)
class Health:
    """Of one binary layer after an epoch, or of several together. Shares in 0…1; None where there is nothing to count.

    Attributes
    ----------
    flipped
        Binary weights whose sign is not that at the end of the epoch before. Near 0 the layer has stopped learning;
        above some percent late in a training the learning rate is too high.
    clipped
        Real weights with |W| ≥ 1, where the gradient is cut and the clamp holds them.
    dead
        Input channels (features, in a dense layer) that tell the layer nothing: their sign, or for real inputs their
        value, is the same everywhere in a sample of the validation images.
    balance
        Inputs whose sign is +1, for layers with binary inputs; 0.5 carries the most information. Of several layers
        the plain mean.
    """

    flipped: float | None
    clipped: float | None
    dead: float | None
    balance: float | None


class Inputs:
    """Counts over the inputs of one layer, by channel."""

    def __init__(self, binary: bool) -> None:
        self.binary, self.n = binary, 0
        self._plus: npt.NDArray[np.int64] | None = None
        self._low: Float | None = None
        self._high: Float | None = None

    def add(self, x: Float) -> None:
        """Take in (n, ..., C) inputs."""
        rows = x.reshape(-1, x.shape[-1])
        self.n += len(rows)
        if self.binary:
            plus = np.count_nonzero(rows >= 0, axis=0)
            self._plus = plus if self._plus is None else self._plus + plus
        else:
            low, high = rows.min(axis=0), rows.max(axis=0)
            self._low = low if self._low is None else np.minimum(self._low, low)
            self._high = high if self._high is None else np.maximum(self._high, high)

    def dead(self) -> tuple[int, int]:
        """How many channels are dead, and how many there are."""
        if self._plus is not None:
            return int(np.count_nonzero((self._plus == 0) | (self._plus == self.n))), len(self._plus)
        if self._low is not None and self._high is not None:
            return int(np.count_nonzero(self._low == self._high)), len(self._low)
        return 0, 0

    def balance(self) -> float | None:
        """Share of +1 among the signs; None for real inputs."""
        return None if self._plus is None else float(self._plus.sum() / (self.n * len(self._plus)))


def binary_layers(network: Module) -> dict[str, BinaryLayer]:
    """The binary layers of a network by path, in its order."""
    return {path: layer for path, layer in network.named_modules() if isinstance(layer, BinaryLayer)}


def signs(network: Module) -> Signs:
    """The signs that every binary layer computes with, packed: a bit for each weight."""
    return {path: bk.pack_signs(layer.binary_weight()[0].reshape(-1)) for path, layer in binary_layers(network).items()}


@contextmanager
def watch(network: Module, images: int) -> Iterator[dict[str, Inputs]]:
    """Count the inputs of the binary layers while the network runs over ``images`` images in this block.

    Of each batch every ``images / 256``-th image is looked at, so this costs little beside the run itself.
    """
    every = -(-images // _SAMPLE)
    layers = binary_layers(network)
    seen = {path: Inputs(layer.binary_input) for path, layer in layers.items()}
    for path, layer in layers.items():
        vars(layer)["forward"] = _counting(layer.forward, seen[path], every)  # stands before the class's own
    try:
        yield seen
    finally:
        for layer in layers.values():
            del vars(layer)["forward"]


def _counting(forward: Callable[[Tensor], Tensor], inputs: Inputs, every: int) -> Callable[[Tensor], Tensor]:
    def counting(x: Tensor) -> Tensor:
        y = forward(x)
        inputs.add(x.array[::every])
        return y

    return counting


def measure(network: Module, seen: Mapping[str, Inputs], before: Signs) -> tuple[Health, dict[str, Health]]:
    """The health of all binary layers together, and of each.

    Parameters
    ----------
    seen
        From :func:`watch`.
    before
        From :func:`signs` at the end of the epoch before.
    """
    now, layers, counts = signs(network), {}, []
    for path, layer in binary_layers(network).items():
        weight, dead = layer.weight.array, seen[path].dead()
        flipped = int(np.bitwise_count(now[path] ^ before[path]).sum())
        clipped = int(np.count_nonzero(np.abs(weight) >= 1))
        counts.append(((flipped, weight.size), (clipped, weight.size), dead))
        layers[path] = _health(counts[-1], seen[path].balance())
    balances = [h.balance for h in layers.values() if h.balance is not None]
    totals = [(sum(part for part, _ in kind), sum(whole for _, whole in kind)) for kind in zip(*counts, strict=True)]
    return _health(totals or [(0, 0)] * 3, _share(sum(balances), len(balances))), layers


def _health(counts: Sequence[tuple[int, int]], balance: float | None) -> Health:
    """From (part, whole) of the signs flipped, the weights at the clip and the dead channels."""
    flipped, clipped, dead = (_share(*count) for count in counts)
    return Health(flipped, clipped, dead, balance)


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
