"""One training step: Algorithm 1 of the paper on one batch, with optional mixup and gradient clipping."""

from __future__ import annotations

import numpy as np

from binnet_kernels.checks import Float

from .. import ops
from ..autograd import Tensor
from ..context import dividing
from ..models import check_images
from ..nn import Module
from ..optim import Optimizer, clip_gradients
from ..parallel.batch import Batch
from ..profiler import phase
from .config import TrainConfig
from .portion import Ints, Mix, Portion


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
    images : float32 (k, H, W, C)
        The normalised images, :attr:`binnet.train.portion.Portion.loads` of the batch: all of them, unless the workers
        of the optimiser divide it.
    labels : int64 (n,)
        Classes in [0, C) of the whole batch.
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
    workers = optimizer.workers
    portion = Portion(workers, len(labels), config.accumulate, mix)
    others = None if mix is None else labels[mix.partner]
    total, correct = 0.0, 0
    # Gradients of the parts add up in the parameters; memory is that of one part.
    for part, own in portion.runs:
        with dividing(workers.batch(part.stop - part.start)) as batch:
            x = Tensor(portion.images(images, own))
            x.of_images = batch is not None
            with phase("forward"):
                logits = network(x)
                _check_divided(logits, batch)
                loss = _loss(logits, labels, (part, own), config, class_weights)
                if mix is not None and others is not None:
                    # Cross-entropy is linear in the labels, so this is its value for mixed one-hot labels.
                    loss = _mixed(loss, _loss(logits, others, (part, own), config, class_weights), mix.share)
                right = labels if mix is None or others is None or mix.share >= 0.5 else others
                hits = logits.numpy().argmax(axis=1) == right[own]
                correct += int(hits.sum() if batch is None else batch.gather(hits).sum())
            with phase("backward"):
                loss.backward()
                if batch is not None:
                    batch.finish()
        total += loss.item()
    with phase("update"):
        if config.clip_norm:
            clip_gradients(optimizer.params, config.clip_norm, workers)
        optimizer.lr = lr
        optimizer.step()
    return total, correct


def _check_divided(logits: Tensor, batch: Batch | None) -> None:
    """ValueError when scores of images come from something else than binnet's operations on them."""
    if batch is not None and not logits.of_images:
        raise ValueError(
            "with several micro-batches a network computes with binnet's operations only, from its images to its "
            "scores: a Tensor made of an array within it does not belong to the images"
        )


def _loss(
    logits: Tensor, labels: Ints, where: tuple[slice, slice], config: TrainConfig, class_weights: Float | None
) -> Tensor:
    """The contribution of a part to the mean loss over the whole batch; ``where``: the part, and this worker's own."""
    part, own = where
    if config.loss == "squared_hinge":
        loss = ops.squared_hinge(logits, labels[own])
    else:
        loss = ops.cross_entropy(logits, labels[own], config.label_smoothing, class_weights)
    # The loss of a part is a mean over the part's class weights, so it is scaled by the part's share of all weights.
    share = _weight(labels[part], class_weights) / _weight(labels, class_weights)
    return loss if share == 1 else ops.mul(loss, share)


def _weight(labels: Ints, class_weights: Float | None) -> float:
    return len(labels) if class_weights is None else float(class_weights[labels].sum(dtype=np.float64))


def _mixed(loss: Tensor, other: Tensor, share: float) -> Tensor:
    return ops.add(ops.mul(loss, share), ops.mul(other, 1 - share))
