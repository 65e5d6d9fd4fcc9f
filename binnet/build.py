"""What a configuration asks for: the network, its optimiser and the batches that it is trained on."""

from __future__ import annotations

from typing import Any

from binnet_datasets import Augment, Dataset, Loader

from . import models, optim
from .config import TrainConfig
from .models import Network
from .optim import Optimizer


def build_network(config: TrainConfig, dataset: Dataset) -> Network:
    """The network of a configuration, with fresh weights."""
    c, d = config, dataset
    size = d.image_size if c.image_size is None else (c.image_size, c.image_size)
    return models.build(str(c.model), c.binarize, d.num_classes, d.channels, size, seed=c.seed, **c.binary_options())


def build_loader(config: TrainConfig, dataset: Dataset, image_size: tuple[int, int]) -> Loader:
    """The shuffled and augmented batches of a configuration."""
    c, (mean, std) = config, dataset.mean_std()
    scale = (c.scale_min, c.scale_max) if c.scale_max else None
    augment = Augment(pad=c.crop_pad, flip=c.flip, scale=scale, crop=True)
    order: dict[str, Any] = {"shuffle": True, "seed": c.seed, "augment": augment, "workers": c.workers}
    return Loader(dataset.train, c.batch_size, mean=mean, std=std, image_size=image_size, **order)


def build_optimizer(config: TrainConfig, network: Network) -> Optimizer:
    """The optimiser of a configuration, at its first step."""
    params, decay = network.parameters(), config.weight_decay
    if config.optimizer == "sgd":
        return optim.SGD(params, config.lr, config.momentum, config.nesterov, decay)
    return optim.Adam(params, config.lr, weight_decay=decay)
