"""One training step: Algorithm 1 of the paper on one batch, with optional mixup and gradient clipping."""

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
    """Mixing partners and ratio of one batch (mixup, arXiv:1710.09412).

    Attributes
    ----------
    partner : int64 (n,)
        A permutation of the batch: image i is mixed with image ``partner[i]``.
    share : float
        λ in [0, 1], drawn from Beta(alpha, alpha): ``x ← λ x + (1 − λ) x[partner]``.
    """

    partner: Ints
    share: float

    @classmethod
    def draw(cls, alpha: float, n: int, seed: int, epoch: int, batch: int) -> Mix:
        """Draw the mix of a batch of ``n`` images. It depends on ``(seed, epoch, batch)`` only, as resuming needs."""
        # The final 1 separates this stream from the loader's [seed, epoch]: NumPy ignores trailing zeros of a seed.
        rng = np.random.default_rng([seed, epoch, batch, 1])
        return cls(rng.permutation(n), float(rng.beta(alpha, alpha)))

    def images(self, x: Float) -> Float:
        """Mix the images ``x``, float32 (n, H, W, C); the result has the same shape and dtype."""
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
    """Run Algorithm 1 on one batch: binarise, forward, backward through the binary weights, update the real weights.

    Parameters
    ----------
    network
        The network in training mode.
    optimizer
        It holds the real weights; its learning rate is set to ``lr``.
    images : float32 (n, H, W, C)
        The normalised images.
    labels : int64 (n,)
        Classes in [0, C).
    config
        Loss, label smoothing, gradient accumulation and clipping are read from it.
    lr
        Learning rate of this update.
    mix
        Mixing partners and ratio; None trains on the images as they are.
    class_weights : float32 (C,), optional
        See :func:`binnet.cross_entropy`.

    Returns
    -------
    loss : float
        Mean loss over the batch.
    correct : int
        Number of images whose most probable class is right. The class of a mixed image is that of its larger part.

    Raises
    ------
    binnet.ops.NotFiniteError
        When the images are not finite.
    """
    check_images(images)  # a custom network need not check them itself
    optimizer.zero_grad()
    images = images if mix is None else mix.images(images)
    others = None if mix is None else labels[mix.partner]
    total, correct = 0.0, 0
    # Gradients of the parts add up in the parameters; memory is that of one part.
    for part in _parts(len(labels), config.accumulate):
        with phase("forward"):
            logits = network(Tensor(images[part]))
            loss = _loss(logits, labels, part, config, class_weights)
            if mix is not None and others is not None:
                # Cross-entropy is linear in the labels, so this is its value for mixed one-hot labels.
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
    """``n`` images in ``count`` parts of nearly equal size; fewer parts where one would have less than two images."""
    # Batch normalisation needs two images for a variance.
    count = max(1, min(count, n // 2))
    ends = [n * i // count for i in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def _loss(logits: Tensor, labels: Ints, part: slice, config: TrainConfig, class_weights: Float | None) -> Tensor:
    """The contribution of ``part`` to the mean loss over the whole batch."""
    if config.loss == "squared_hinge":
        loss = ops.squared_hinge(logits, labels[part])
    else:
        loss = ops.cross_entropy(logits, labels[part], config.label_smoothing, class_weights)
    # The loss of a part is a mean over the part's class weights, so it is scaled by the part's share of all weights.
    share = _weight(labels[part], class_weights) / _weight(labels, class_weights)
    return loss if share == 1 else ops.mul(loss, share)


def _weight(labels: Ints, class_weights: Float | None) -> float:
    return len(labels) if class_weights is None else float(class_weights[labels].sum(dtype=np.float64))


def _mixed(loss: Tensor, other: Tensor, share: float) -> Tensor:
    return ops.add(ops.mul(loss, share), ops.mul(other, 1 - share))
