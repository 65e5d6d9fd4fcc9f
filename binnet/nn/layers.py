"""Layers with real-valued weights, and layers without any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from binnet_kernels.checks import Pair, pair
from binnet_kernels.pool import pool_window

from .. import ops
from ..autograd import Tensor
from ..ops.shapes import Border, border
from . import init
from .module import Module, Parameter


class Conv2d(Module):
    """Convolution, (N, H, W, in_channels) to (N, OH, OW, out_channels), padding with 0.

    Parameters
    ----------
    kernel_size, stride, padding
        An int or a pair (vertical, horizontal).
    groups
        Divides both numbers of channels; each filter sees the input channels of its group. As many groups as input
        channels make the convolution depthwise. Weights are (out_channels, KH, KW, in_channels / groups).
    bias
        Off by default, because a batch normalisation usually follows.
    rng
        Draws the initial weights; a whole number is the seed of a generator for this layer alone.

    Raises
    ------
    ValueError
        On construction for numbers out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        groups: int = 1,
        bias: bool = False,
        rng: np.random.Generator | int,
    ) -> None:
        super().__init__()
        kh, kw = pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding, self.groups = pair(stride, "stride", 1), pair(padding, "padding", 0), groups
        depth = in_channels if groups == 1 else _channels_of_group(in_channels, out_channels, groups)
        # OHWI: the channels that a tap reads lie side by side, as they do in the NHWC image.
        self.weight = Parameter(init.he_normal((out_channels, kh, kw, depth), rng))
        self.bias = Parameter(np.zeros(out_channels), decay=False) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return ops.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups)

    def check(self, x: Tensor) -> None:
        """LayerError unless ``x`` is an input for this layer."""
        self.expect(x.shape, "N", "H", "W", self.groups * self.weight.shape[3])

    def before_norm(self, x: Tensor, norm: BatchNorm) -> Tensor:
        """``relu(norm(self(x)))`` as one function; for a layer without bias and groups, and images."""
        return ops.conv2d_norm_relu(x, self.weight, norm.normalisation(), stride=self.stride, padding=self.padding)


def _channels_of_group(in_channels: int, out_channels: int, groups: int) -> int:
    """How many input channels a filter sees."""
    whole = isinstance(groups, int | np.integer) and not isinstance(groups, bool) and groups >= 1
    if not whole or in_channels % groups or out_channels % groups:
        channels = f"{in_channels} and {out_channels} channels"
        raise ValueError(f"groups must be a whole number that divides {channels}, got {groups!r}")
    return in_channels // groups


class Linear(Module):
    """Dense layer, (N, in_features) to (N, out_features)."""

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, rng: np.random.Generator | int
    ) -> None:
        super().__init__()
        self.weight = Parameter(init.he_normal((out_features, in_features), rng))
        self.bias = Parameter(np.zeros(out_features), decay=False) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", self.weight.shape[1])
        return ops.linear(x, self.weight, self.bias)


class BatchNorm(Module):
    """Batch normalisation of the last axis, for (N, C) and (N, H, W, C).

    In training with the batch's statistics, which move the running ones by ``momentum``; in evaluation with those. A
    batch in training needs at least two rows for each channel (N, or N·H·W): of one, the variance is 0 and the result β
    alone, whatever the input.

    Parameters
    ----------
    channels
    momentum
        From 0 to 1.
    eps
        Added to the variance, at least 0.

    Raises
    ------
    ValueError
        On construction for numbers out of range; in training for a single row.
    """

    buffer_names = ("running_mean", "running_var")

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.gamma = Parameter(np.ones(channels), decay=False)
        self.beta = Parameter(np.zeros(channels), decay=False)
        self.running_mean = np.zeros(channels, np.float32)
        self.running_var = np.ones(channels, np.float32)
        self.statistics()  # raises for numbers out of range, now and not in the first batch

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        self.check(x)
        return ops.batch_norm(x, self.gamma, self.beta, self.statistics(), relu=relu)

    def check(self, x: Tensor) -> None:
        """LayerError unless ``x`` is an input for this layer."""
        axes: tuple[str, ...] = ("N", "H", "W") if x.ndim == 4 else ("N",)
        self.expect(x.shape, *axes, len(self.gamma))

    def normalisation(self) -> ops.Normalisation:
        """γ, β and the statistics of now, for functions that normalise on the way."""
        return ops.Normalisation(self.gamma, self.beta, self.statistics())

    def statistics(self) -> ops.Statistics:
        """Mean and variance to use now, in training or evaluation."""
        return ops.Statistics(self.running_mean, self.running_var, self.training, self.momentum, self.eps)


class _Pool2d(Module):
    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        super().__init__()
        # The kernel's own check, so that a wrong window is an error of the layer that has it.
        window = pool_window(kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = window.size, window.stride, window.padding


class MaxPool2d(_Pool2d):
    """Largest element of each window; the stride is the window itself unless given."""

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", "C")
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool2d):
    """Mean of each window, the border counting as zeros; the stride is the window itself unless given."""

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", "C")
        return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class GlobalAvgPool(Module):
    """Mean over rows and columns, (N, H, W, C) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", "C")
        return ops.global_average(x)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class ZeroPad2d(Module):
    """A border of zeros around images: (top, bottom, left, right), a pair (vertical, horizontal) or one int."""

    def __init__(self, padding: Border) -> None:
        super().__init__()
        self.padding = border(padding)

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x.shape, "N", "H", "W", "C")
        return ops.pad(x, self.padding)


class Softmax(Module):
    """Scores (N, C) to probabilities; for prediction, as :func:`binnet.cross_entropy` takes the scores themselves."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmax(x)


class Flatten(Module):
    """(N, ...) to (N, product of the rest)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x)


class Dropout(Module):
    """Zeroes elements with probability ``p`` in training, and divides the others by 1 − p.

    The mask of a call is a function of ``seed`` and of the number of calls so far. Both are buffers, so training that
    goes on from a saved state draws the same masks as training that never stopped. Without a seed each layer gets
    one of its own.
    """

    buffer_names = ("seed", "step")

    def __init__(self, p: float, seed: int | Sequence[int] | None = None) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"the probability of dropout must lie in [0, 1), got {p!r}")
        self.p = p
        self.seed = init.make_seed(seed)
        self.step = np.zeros((), np.int64)

    def forward(self, x: Tensor) -> Tensor:
        # Not counted in evaluation, so that validation between epochs does not change the masks of training.
        if not self.training or self.p == 0:
            return x
        rng = np.random.default_rng([*self.seed.tolist(), int(self.step)])
        self.step += 1
        return ops.dropout(x, self.p, rng)
