"""Diagnostics of a binary network in training: sign flips, clipped weights, dead channels, balance of the inputs."""

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
_SAMPLE = 256  # validation images sampled, evenly spread: enough for shares, and cheap beside the validation itself


@dataclass(frozen=True)
class Health:
    """Diagnostics of one binary layer, or of several together, after an epoch.

    All values are shares in [0, 1]; None means that there is nothing to count.

    Attributes
    ----------
    flipped
        Share of the binary weights whose sign differs from that at the end of the previous epoch. Near 0 the layer has
        stopped learning; more than a few percent late in training mean that the learning rate is too high.
    clipped
        Share of the real weights with |W| ≥ 1, where the straight-through gradient is cut.
    dead
        Share of the input channels (input features of a dense layer) that carry no information: their sign, or for
        real inputs their value, is constant over a sample of the validation images.
    balance
        Share of the inputs whose sign is +1, for layers with binary inputs; 0.5 carries the most information. For
        several layers this is the unweighted mean.
    """

    flipped: float | None
    clipped: float | None
    dead: float | None
    balance: float | None


class Inputs:
    """Statistics of the inputs of one layer, per channel: signs of binary inputs, extremes of real ones."""

    def __init__(self, binary: bool) -> None:
        self.binary, self.n = binary, 0
        self._plus: npt.NDArray[np.int64] | None = None
        self._low: Float | None = None
        self._high: Float | None = None

    def add(self, x: Float) -> None:
        """Add a batch of inputs, float32 (n, ..., C)."""
        rows = x.reshape(-1, x.shape[-1])
        self.n += len(rows)
        if self.binary:
            # sign(0) = +1 in the kernels too, hence >= and not >.
            plus = np.count_nonzero(rows >= 0, axis=0)
            self._plus = plus if self._plus is None else self._plus + plus
        else:
            # The extremes are enough to tell a constant channel, and need no memory of earlier batches.
            low, high = rows.min(axis=0), rows.max(axis=0)
            self._low = low if self._low is None else np.minimum(self._low, low)
            self._high = high if self._high is None else np.maximum(self._high, high)

    def merge(self, other: Inputs) -> None:
        """Add the statistics of another worker."""
        self.n += other.n
        for name, join in (("_plus", np.add), ("_low", np.minimum), ("_high", np.maximum)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if theirs is not None:
                setattr(self, name, theirs if mine is None else join(mine, theirs))

    def dead(self) -> tuple[int, int]:
        """The number of dead channels and the number of all channels; (0, 0) before the first batch."""
        if self._plus is not None:
            return int(np.count_nonzero((self._plus == 0) | (self._plus == self.n))), len(self._plus)
        if self._low is not None and self._high is not None:
            return int(np.count_nonzero(self._low == self._high)), len(self._low)
        return 0, 0

    def balance(self) -> float | None:
        """Share of +1 among the signs, in [0, 1]; None for real inputs."""
        return None if self._plus is None else float(self._plus.sum() / (self.n * len(self._plus)))


def binary_layers(network: Module) -> dict[str, BinaryLayer]:
    """The binary layers of a network by path, in the network's order."""
    return {path: layer for path, layer in network.named_modules() if isinstance(layer, BinaryLayer)}


def signs(network: Module) -> Signs:
    """The signs of the weights of each binary layer by path, packed 64 to a uint64 word."""
    return {path: bk.pack_signs(layer.binary_weight()[0].reshape(-1)) for path, layer in binary_layers(network).items()}


@contextmanager
def watch(network: Module, images: int) -> Iterator[dict[str, Inputs]]:
    """Context manager that collects input statistics of the binary layers while the network runs.

    Parameters
    ----------
    network
        Its binary layers are observed within the block.
    images
        Number of images that will run. About 256 of them are sampled, so this costs little beside the run itself.

    Yields
    ------
    dict of str to Inputs
        Statistics by the path of the layer.
    """
    every = -(-images // _SAMPLE)
    layers = binary_layers(network)
    seen = {path: Inputs(layer.binary_input) for path, layer in layers.items()}
    for path, layer in layers.items():
        vars(layer)["forward"] = _counting(layer.forward, seen[path], every)  # an instance attribute hides the method
    try:
        yield seen
    finally:
        for layer in layers.values():
            del vars(layer)["forward"]  # the method of the class is visible again


def merged(every: Sequence[Mapping[str, Inputs]]) -> dict[str, Inputs]:
    """The statistics of all workers together, by the path of the layer."""
    total = dict(every[0])
    for seen in every[1:]:
        for path, inputs in seen.items():
            total[path].merge(inputs)
    return total


def _counting(forward: Callable[[Tensor], Tensor], inputs: Inputs, every: int) -> Callable[[Tensor], Tensor]:
    def counting(x: Tensor) -> Tensor:
        y = forward(x)  # first, so that inputs that the layer rejects are not counted
        inputs.add(x.array[::every])
        return y

    return counting


def measure(network: Module, seen: Mapping[str, Inputs], before: Signs) -> tuple[Health, dict[str, Health]]:
    """Diagnostics of all binary layers together, and of each layer by path.

    Parameters
    ----------
    network
        The network after the epoch.
    seen
        Input statistics from :func:`watch`.
    before
        Result of :func:`signs` at the end of the previous epoch.

    Returns
    -------
    tuple of Health and dict
        Those of all layers together, and those of each layer.
    """
    now, layers, counts = signs(network), {}, []
    for path, layer in binary_layers(network).items():
        weight, dead = layer.weight.array, seen[path].dead()
        # Both are packed from equally many weights, so the padding bits of the last word are equal and cancel out.
        flipped = int(np.bitwise_count(now[path] ^ before[path]).sum())
        clipped = int(np.count_nonzero(np.abs(weight) >= 1))
        counts.append(((flipped, weight.size), (clipped, weight.size), dead))
        layers[path] = _health(counts[-1], seen[path].balance())
    balances = [h.balance for h in layers.values() if h.balance is not None]
    totals = [(sum(part for part, _ in kind), sum(whole for _, whole in kind)) for kind in zip(*counts, strict=True)]
    # A network without binary layers has no counts to sum: all shares are None then.
    return _health(totals or [(0, 0)] * 3, _share(sum(balances), len(balances))), layers


def _health(counts: Sequence[tuple[int, int]], balance: float | None) -> Health:
    """Diagnostics from (part, whole) pairs of flipped signs, clipped weights and dead channels, in this order."""
    flipped, clipped, dead = (_share(*count) for count in counts)
    return Health(flipped, clipped, dead, balance)


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
