"""Build the parts of a training from its configuration: network, optimiser, batches and class weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from binnet_datasets import Augment, Dataset, Loader, Sampling, View
from binnet_kernels.checks import Float

from .. import __version__, models, optim
from ..engine.preprocessing import preprocessing_of
from ..modelfile.info import DataInfo, Keys
from ..models import ModelSpec
from ..models.own_network import OwnNetwork
from ..nn import Module
from ..optim import Optimizer
from ..parallel.workers import ALONE, Workers
from .config import ConfigError, TrainConfig
from .portion import Portion
from .pretrained.finetune import Start

_FEW = 5  # with fewer images of a class, its accuracy says little


def build_network(config: TrainConfig, dataset: Dataset, own: OwnNetwork | None = None) -> tuple[ModelSpec, Module]:
    """Build the network of a configuration with fresh weights.

    Parameters
    ----------
    config, dataset
        The configuration, and the data set that determines classes, channels and the default image size.
    own
        The loaded Python file, when ``config.model`` names a function in a file.

    Returns
    -------
    spec : ModelSpec
        The specification from which the network can be rebuilt.
    network : Module
    """
    c, d = config, dataset
    size = d.image_size if c.image_size is None else (c.image_size, c.image_size)
    if own is None:
        sizes = (d.num_classes, d.channels, size)
        options = c.binary_options() | c.own_options()
        network = models.build(str(c.model), c.binarize, *sizes, seed=c.seed, **options)
        return network.spec, network
    asked = {"num_classes": d.num_classes, "in_channels": d.channels, "image_size": size, "binarize": c.binarize}
    spec = own.spec(asked | c.binary_options(), c.changed())
    return spec, own.build(spec, c.seed)


def build_info(
    config: TrainConfig, dataset: Dataset, image_size: tuple[int, int], trained_on: Keys, start: Start | None = None
) -> DataInfo:
    """Description of the data that is stored with a model: classes, normalisation, preprocessing and provenance.

    Parameters
    ----------
    config, dataset
        The configuration, and the data set of the training.
    image_size
        Rows and columns of the network's images, in pixels.
    trained_on
        Keys of the training images, here and of models before, so that an evaluation can leave them out.
    start
        Initialisation of a fine-tuned network; its normalisation is kept.
    """
    provenance: dict[str, Any] = {"config": config.to_dict(), "binnet": __version__}
    if dataset.class_ids and dataset.class_ids != dataset.class_names:
        provenance["class_ids"] = list(dataset.class_ids)
    how = preprocessing_of(dataset, image_size)
    return DataInfo(dataset.name, dataset.class_names, *_normalisation(dataset, start), provenance, how, trained_on)


def build_loader(
    config: TrainConfig,
    dataset: Dataset,
    image_size: tuple[int, int],
    start: Start | None = None,
    workers: Workers = ALONE,
) -> Loader:
    """Loader of shuffled and augmented training batches.

    A batch has ``batch_size * accumulate`` images, all that one update of the weights sees; of these it makes the ones
    that this worker needs. ConfigError when the border of the random crop is as wide as the image that it reflects.
    """
    pad = config.crop_pad or 0
    if pad >= min(image_size):
        h, w = image_size
        raise ConfigError(f"--crop-pad must be less than the image of {h}x{w} pixels, got {pad}")
    c, (mean, std) = config, _normalisation(dataset, start)
    scale = (c.scale_min, c.scale_max) if c.scale_max else None
    augment = Augment(pad=pad, flip=bool(c.flip), scale=scale, crop=True)
    how: dict[str, Any] = {"view": View(image_size), "sampling": Sampling(True, c.seed, augment)}
    if workers.divided:
        how["share"] = lambda epoch, number, n: Portion.of(c, workers, epoch, number, n).loads
    return Loader(dataset.train, c.batch_size * c.accumulate, mean=mean, std=std, **how, workers=c.workers)


def _normalisation(dataset: Dataset, start: Start | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel: those of the pretrained model, else those of the data set."""
    if start is not None and start.mean is not None and start.std is not None:
        return start.mean, start.std
    mean, std = dataset.mean_std()
    return tuple(mean.tolist()), tuple(std.tolist())


def build_optimizer(
    config: TrainConfig, network: Module, start: Start | None = None, workers: Workers = ALONE
) -> Optimizer:
    """A new optimiser, as configured, of all parameters that are not frozen; workers divide its updates."""
    params, decay = _groups(config, network, start), config.weight_decay
    optimizer: Optimizer = (
        optim.SGD(params, config.lr, config.momentum, config.nesterov, decay)
        if config.optimizer == "sgd"
        else optim.Adam(params, config.lr, weight_decay=decay)
    )
    optimizer.divide(workers)
    return optimizer


def _groups(config: TrainConfig, network: Module, start: Start | None) -> optim.Params:
    """The learning parameters, in two groups where pretrained ones have a learning rate of their own."""
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    taken = set() if start is None else set(start.taken)
    body, head = ([p for name, p in learning.items() if (name in taken) is inside] for inside in (True, False))
    if config.body_lr == 1 or not config.lr or not body:
        return [*learning.values()]
    groups: list[dict[str, Any]] = [{"params": body, "lr": config.lr * config.body_lr}, {"params": head}]
    return groups if head else groups[:1]


def balanced(dataset: Dataset) -> Float:
    """Class weights of the loss, float32 (C,): n / (C n_c), so that every class has the same total weight."""
    counts = np.bincount(dataset.train.labels, minlength=dataset.num_classes)
    # A class without training images gets a finite weight, which no image uses.
    return (len(dataset.train) / (dataset.num_classes * np.maximum(counts, 1))).astype(np.float32)


def few_images(dataset: Dataset) -> list[str]:
    """Warnings about classes with fewer than five training or validation images, as sentences."""
    notes = []
    for split, what in ((dataset.train, "training"), (dataset.test, "validation")):
        counts = np.bincount(split.labels, minlength=dataset.num_classes)
        few = [f"{name} ({n})" for name, n in zip(dataset.class_names, counts.tolist(), strict=True) if n < _FEW]
        if few:
            shown = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
            notes.append(f"warning: fewer than {_FEW} {what} images of {shown}")
    return notes
