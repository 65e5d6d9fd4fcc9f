"""One step of training: Algorithm 1 of the paper on one batch, with mixing of images and clipping of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

from .. import ops
from ..autograd import Tensor
from ..models import check_images
from ..nn import Module
from ..optim import Optimizer, clip_gradients
from ..profiler import phase
from .config import TrainConfig

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mix:
    """Which image each one of a batch is mixed with, and how much of itself remains (mixup, arXiv:1710.09412).

    Attributes
    ----------
    partner : int64 (n,)
        A permutation of the batch.
    share : float
        λ, drawn from Beta(alpha, alpha): ``x ← λ x + (1 − λ) x[partner]``.
    """

    partner: Ints
    share: float

    @classmethod
    def draw(cls, alpha: float, n: int, seed: int, epoch: int, batch: int) -> Mix:
        """For one batch; it follows from ``(seed, epoch, batch)`` alone, so a resumed training draws the same."""
        # The 1 at the end keeps this apart from the loader's [seed, epoch]: trailing zeros would not.
        rng = np.random.default_rng([seed, epoch, batch, 1])
        return cls(rng.permutation(n), float(rng.beta(alpha, alpha)))

    def images(self, x: Float) -> Float:
        """The mixed images, float32."""
        return np.float32(self.share) * x + np.float32(1 - self.share) * x[self.partner]


def training_step(
    network: Module,
    optimizer: Optimizer,
    images: Float,
    labels: Ints,
    config: TrainConfig,
    lr: float,
    mix: Mix | None = None,
    class_weights: Float | None = None,
) -> tuple[float, int]:
    """Binarise and forward, backward with the binary weights, update the real ones (Algorithm 1).

    Parameters
    ----------
    images : float32 (n, H, W, C)
    labels : int64 (n,)
    lr
        Learning rate of this update.
    mix
        How to mix the images, if at all.
    class_weights : float32 (C,), optional
        See :func:`binnet.cross_entropy`.

    Returns
    -------
    loss : float
        Mean over the batch.
    correct : int
        Images whose most probable class was right; of mixed ones, that of the larger part.

    Raises
    ------
    binnet.ops.NotFiniteError
        When the images are not finite.
    """
    check_images(images)  # a network of one's own need not
    optimizer.zero_grad()
    images = images if mix is None else mix.images(images)
    others = None if mix is None else labels[mix.partner]
    total, correct = 0.0, 0
    for part in _parts(len(labels), config.accumulate):
        with phase("forward"):
            logits = network(Tensor(images[part]))
            loss = _loss(logits, labels, part, config, class_weights)
            if mix is not None and others is not None:
                loss = _mixed(loss, _loss(logits, others, part, config, class_weights), mix.share)
        with phase("backward"):
            loss.backward()
        total += loss.item()
        right = labels if mix is None or others is None or mix.share >= 0.5 else others
        correct += int((logits.numpy().argmax(axis=1) == right[part]).sum())
    with phase("update"):
        if config.clip_norm:
            clip_gradients(optimizer.params, config.clip_norm)
        optimizer.lr = lr
        optimizer.step()
    return total, correct


def _parts(n: int, count: int) -> list[slice]:
    """``n`` images in ``count`` parts of nearly the same size, fewer where one would have less than two images."""
    count = max(1, min(count, n // 2))
    ends = [n * i // count for i in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def _loss(logits: Tensor, labels: Ints, part: slice, config: TrainConfig, class_weights: Float | None) -> Tensor:
    """What ``part`` of a batch adds to the mean over the whole batch; the mean itself when it is all of it."""
    if config.loss == "squared_hinge":
        loss = ops.squared_hinge(logits, labels[part])
    else:
        loss = ops.cross_entropy(logits, labels[part], config.label_smoothing, class_weights)
    # The loss of a part is a mean over its own weights: what counts is its share of the batch's weights, not of images.
    share = _weight(labels[part], class_weights) / _weight(labels, class_weights)
    return loss if share == 1 else ops.mul(loss, share)


def _weight(labels: Ints, class_weights: Float | None) -> float:
    return len(labels) if class_weights is None else float(class_weights[labels].sum(dtype=np.float64))


def _mixed(loss: Tensor, other: Tensor, share: float) -> Tensor:
    return ops.add(ops.mul(loss, share), ops.mul(other, 1 - share))
