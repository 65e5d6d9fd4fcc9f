"""What a configuration asks for: the network, its optimiser and the batches that it is trained on."""

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
from .config import TrainConfig
from .finetune import Start

_FEW = 5  # images of a class below which a figure about it means little


def build_network(config: TrainConfig, dataset: Dataset, own: OwnNetwork | None = None) -> tuple[ModelSpec, Module]:
    """The network of a configuration, with fresh weights, and its description.

    ``own`` is what ``config.model`` names when that is a function in a file.
    """
    c, d = config, dataset
    size = d.image_size if c.image_size is None else (c.image_size, c.image_size)
    if own is None:
        sizes = (d.num_classes, d.channels, size)
        network = models.build(str(c.model), c.binarize, *sizes, seed=c.seed, **c.binary_options())
        return network.spec, network
    asked = {"num_classes": d.num_classes, "in_channels": d.channels, "image_size": size, "binarize": c.binarize}
    spec = own.spec(asked | c.binary_options(), c.changed())
    return spec, own.build(spec, c.seed)


def build_info(
    config: TrainConfig, dataset: Dataset, image_size: tuple[int, int], trained_on: Keys, start: Start | None = None
) -> DataInfo:
    """What a model that is trained with a configuration knows about its data.

    Parameters
    ----------
    config, dataset
        The configuration, and what is trained on.
    image_size
        Rows and columns of the network's images.
    trained_on
        Keys of the training images.
    start
        What a fine-tuned network began with.
    """
    provenance: dict[str, Any] = {"config": config.to_dict(), "binnet": __version__}
    if dataset.class_ids and dataset.class_ids != dataset.class_names:
        provenance["class_ids"] = list(dataset.class_ids)
    how = preprocessing_of(dataset, image_size)
    return DataInfo(dataset.name, dataset.class_names, *_normalisation(dataset, start), provenance, how, trained_on)


def build_loader(
    config: TrainConfig, dataset: Dataset, image_size: tuple[int, int], start: Start | None = None
) -> Loader:
    """The shuffled and augmented batches of a configuration: each is all that an update sees."""
    c, (mean, std) = config, _normalisation(dataset, start)
    scale = (c.scale_min, c.scale_max) if c.scale_max else None
    augment = Augment(pad=c.crop_pad, flip=c.flip, scale=scale, crop=True)
    how: dict[str, Any] = {"view": View(image_size), "sampling": Sampling(True, c.seed, augment)}
    return Loader(dataset.train, c.batch_size * c.accumulate, mean=mean, std=std, **how, workers=c.workers)


def _normalisation(dataset: Dataset, start: Start | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel: those that a fine-tuned network was trained with, else those of the data."""
    if start is not None and start.mean is not None and start.std is not None:
        return start.mean, start.std
    mean, std = dataset.mean_std()
    return tuple(mean.tolist()), tuple(std.tolist())


def build_optimizer(config: TrainConfig, network: Module, start: Start | None = None) -> Optimizer:
    """The optimiser of a configuration, at its first step, of all parameters that are not frozen."""
    params, decay = _groups(config, network, start), config.weight_decay
    if config.optimizer == "sgd":
        return optim.SGD(params, config.lr, config.momentum, config.nesterov, decay)
    return optim.Adam(params, config.lr, weight_decay=decay)


def _groups(config: TrainConfig, network: Module, start: Start | None) -> optim.Params:
    """The parameters that learn; in two groups where those that a fine-tuned network began with learn otherwise."""
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    taken = set() if start is None else set(start.taken)
    body, head = ([p for name, p in learning.items() if (name in taken) is inside] for inside in (True, False))
    if config.body_lr == 1 or not config.lr or not body:
        return [*learning.values()]
    groups: list[dict[str, Any]] = [{"params": body, "lr": config.lr * config.body_lr}, {"params": head}]
    return groups if head else groups[:1]


def balanced(dataset: Dataset) -> Float:
    """Weights for the loss, float32 (C,): n / (C n_c), so that all classes count the same whatever their images."""
    counts = np.bincount(dataset.train.labels, minlength=dataset.num_classes)
    return (len(dataset.train) / (dataset.num_classes * np.maximum(counts, 1))).astype(np.float32)


def few_images(dataset: Dataset) -> list[str]:
    """Sentences about classes with so few images that training or validation says little about them."""
    notes = []
    for split, what in ((dataset.train, "training"), (dataset.test, "validation")):
        counts = np.bincount(split.labels, minlength=dataset.num_classes)
        few = [f"{name} ({n})" for name, n in zip(dataset.class_names, counts.tolist(), strict=True) if n < _FEW]
        if few:
            shown = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
            notes.append(f"warning: fewer than {_FEW} {what} images of {shown}")
    return notes
