"""One training step: Algorithm 1 of the paper on one batch, with optional mixup, teacher and gradient clipping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from binnet_kernels.checks import Float

from .. import ops
from ..autograd import Tensor
from ..context import dividing
from ..models import check_images
from ..nn import BatchNorm, Module
from ..optim import Optimizer, clip_gradients
from ..parallel.batch import Batch
from ..parallel.workers import Workers
from ..profiler import phase
from .config import TrainConfig
from .portion import Ints, Mix, Portion


@dataclass(frozen=True)
class Targets:
    """What a network should answer for the images of a batch.

    Attributes
    ----------
    labels : int64 (n,)
        Classes in [0, C) of the whole batch.
    mix : Mix or None
        Mixing partners and ratio; None trains on the images as they are.
    class_weights : float32 (C,) or None
        See :func:`binnet.cross_entropy`.
    teacher : function of float32 (m, H, W, C) to float32 (m, C), or None
        The teacher's scores for images as the network sees them, mixed ones included.
    """

    labels: Ints
    mix: Mix | None = None
    class_weights: Float | None = None
    teacher: Callable[[Float], Float] | None = None

    @property
    def others(self) -> Ints | None:
        """Labels of the mixing partners, int64 (n,); None without a mix."""
        return None if self.mix is None else self.labels[self.mix.partner]

    @property
    def right(self) -> Ints:
        """The class that counts as right, int64 (n,): of a mixed image, that of its larger part."""
        return self.labels if self.mix is None or self.mix.share >= 0.5 else self.labels[self.mix.partner]

    def scores(self, images: Float) -> Float | None:
        """The teacher's scores, float32 (m, C); None without a teacher."""
        if self.teacher is None:
            return None
        with phase("teacher"):
            return self.teacher(images)


def training_step(
    network: Module,
    optimizer: Optimizer,
    images: Float,
    targets: Targets,
    config: TrainConfig,
    lr: float,
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
    targets
        Labels, mix, class weights and teacher of the whole batch.
    config
        Loss, label smoothing, the teacher's share and temperature, gradient accumulation and clipping are read from it.
    lr
        Learning rate of this update.

    Returns
    -------
    loss : float
        Mean loss over the batch.
    correct : int
        Number of images whose most probable class is :attr:`Targets.right`.

    Raises
    ------
    binnet.ops.NotFiniteError
        When the images are not finite.
    binnet.nn.LayerError
        When a layer refuses its input; it has the layer's name.
    ValueError
        When several micro-batches share the step, and scores come from something else than binnet's operations.
    """
    check_images(images)  # a custom network need not check them itself
    optimizer.zero_grad()
    workers = optimizer.workers
    portion = Portion(workers, len(targets.labels), config.accumulate, targets.mix)
    total, correct = 0.0, 0
    # Gradients of the parts add up in the parameters; memory is that of one part.
    for part, own in portion.runs:
        x = Tensor(portion.images(images, own))
        scores = targets.scores(x.array)
        with dividing(workers.batch(part.stop - part.start)) as batch:
            x.of_images = batch is not None
            with phase("forward"):
                logits = network(x)
                _check_divided(logits, batch)
                loss = _loss(logits, scores, targets, (part, own), config)
                hits = logits.numpy().argmax(axis=1) == targets.right[own]
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


def fix_statistics(network: Module, workers: Workers) -> None:
    """Let all batch normalisations compute with their running statistics, which then stay as they are.

    The network then learns with the statistics that evaluation uses (arXiv:1806.08342). Not in the paper.

    Parameters
    ----------
    network
        The network in training mode, which all its other layers keep.
    workers
        Those that have running statistics of their own images agree on the means of all.
    """
    learning = [module for _, module in network.named_modules() if isinstance(module, BatchNorm) and module.training]
    if learning:
        workers.complete(network.buffers())
    for norm in learning:
        norm.training = False


def _check_divided(logits: Tensor, batch: Batch | None) -> None:
    """ValueError when scores of images come from something else than binnet's operations on them."""
    if batch is not None and not logits.of_images:
        raise ValueError(
            "with several micro-batches a network computes with binnet's operations only, from its images to its "
            "scores: a Tensor made of an array within it does not belong to the images"
        )


_Where = tuple[slice, slice]  # a part of the batch, and this worker's own images of it


def _loss(logits: Tensor, scores: Float | None, targets: Targets, where: _Where, config: TrainConfig) -> Tensor:
    """The contribution of a part to the mean loss over the whole batch."""
    if scores is None:
        return _labels_loss(logits, targets, where, config)
    part, share = where[0], config.teacher_share
    taught = _times(
        ops.distillation(logits, scores, config.temperature), share * (part.stop - part.start) / len(targets.labels)
    )
    return taught if share == 1 else ops.add(taught, _times(_labels_loss(logits, targets, where, config), 1 - share))


def _labels_loss(logits: Tensor, targets: Targets, where: _Where, config: TrainConfig) -> Tensor:
    """The loss against the labels, those of the mixing partners included."""
    mix, others, weights = targets.mix, targets.others, targets.class_weights
    loss = _label_loss(logits, targets.labels, where, config, weights)
    if mix is None or others is None:
        return loss
    # Cross-entropy is linear in the labels, so this is its value for mixed one-hot labels.
    other = _label_loss(logits, others, where, config, weights)
    return ops.add(ops.mul(loss, mix.share), ops.mul(other, 1 - mix.share))


def _label_loss(
    logits: Tensor, labels: Ints, where: _Where, config: TrainConfig, class_weights: Float | None
) -> Tensor:
    part, own = where
    if config.loss == "squared_hinge":
        loss = ops.squared_hinge(logits, labels[own])
    else:
        loss = ops.cross_entropy(logits, labels[own], config.label_smoothing, class_weights)
    # The loss of a part is a mean over the part's class weights, so it is scaled by the part's share of all weights.
    return _times(loss, _weight(labels[part], class_weights) / _weight(labels, class_weights))


def _weight(labels: Ints, class_weights: Float | None) -> float:
    return len(labels) if class_weights is None else float(class_weights[labels].sum(dtype=np.float64))


def _times(loss: Tensor, share: float) -> Tensor:
    return loss if share == 1 else ops.mul(loss, share)
