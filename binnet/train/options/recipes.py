"""Recipes: named sets of training options, for the networks of the paper and for small computers.

Sources: arXiv:1603.05279, section 4; the authors' released code for AlexNet's learning rates, because the printed ones
do not reproduce; J. Cao's re-implementation for LeNet-5 and NIN on small images; arXiv:1511.00363 for the CIFAR-10
network. Milestones are shares of the training's length, so ``--epochs`` scales the whole schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...nn.options import MODES
from .types import ConfigError

Values = dict[str, Any]

_SIZE = 224  # the image size for which scale_min and scale_max, the range of the short side, are given
_SGD_MODES = ("float", "bwn", "binaryconnect")  # section 4.2: SGD for these, Adam for binary inputs

# 1e-2, 5e-3, 1e-3, 5e-4, 1e-4 from epochs 1, 19, 30, 44, 53 of 55; weight decay until the third of these. The paper
# says 16 epochs: --epochs 16.
_ALEXNET: Values = {
    "epochs": 55,
    "batch_size": 512,
    "lr": 0.01,
    "schedule": "step",
    "milestones": [18 / 55, 29 / 55, 43 / 55, 52 / 55],
    "factors": [0.5, 0.1, 0.05, 0.01],
    "weight_decay": 5e-4,
    "decay_until": 29 / 55,
    "image_size": _SIZE,
    "scale_min": 256,
    "scale_max": 256,
    "flip": True,
}
# "learning-rate-decay equal to 0.01 at epochs number 30 and 40", read as a tenth each time.
_RESNET18: Values = {
    "epochs": 58,
    "batch_size": 256,
    "lr": 0.1,
    "schedule": "step",
    "milestones": [30 / 58, 40 / 58],
    "factors": [0.1, 0.01],
    "weight_decay": 1e-4,
    "image_size": _SIZE,
    "scale_min": 256,
    "scale_max": 480,
    "flip": True,
}
_GOOGLENET: Values = {
    "epochs": 80,
    "batch_size": 128,
    "lr": 0.1,
    "schedule": "polynomial",
    "weight_decay": 5e-4,
    "image_size": _SIZE,
    "scale_min": 256,
    "scale_max": 320,
    "flip": True,
}
# A cosine schedule replaces the exponential decay from 3e-3 to 2e-6 of arXiv:1511.00363; like there, no augmentation.
_CIFAR_VGG: Values = {"dataset": "cifar10", "epochs": 500, "batch_size": 50, "lr": 0.003, "loss": "squared_hinge"}
_NIN: Values = {
    "dataset": "cifar10",
    "epochs": 320,
    "batch_size": 128,
    "lr": 0.01,
    "schedule": "step",
    "milestones": [120 / 320, 200 / 320, 240 / 320, 280 / 320],
    "factors": [0.1, 0.01, 0.001, 0.0001],
    "weight_decay": 1e-5,
}
_LENET5: Values = {
    "dataset": "mnist",
    "epochs": 60,
    "batch_size": 128,
    "lr": 0.01,
    "schedule": "step",
    "milestones": [0.25, 0.5, 0.75],
    "factors": [0.1, 0.01, 0.001],
}
# ReActNet's second step (arXiv:2003.03488, section 5.1), for networks with a shortcut around each convolution. The
# gradient of the sign is that of Bi-Real Net. Weight decay is of its first step: --stages 2 leaves it out at the end.
_REACTNET18: Values = {
    "epochs": 256,
    "batch_size": 256,
    "lr": 5e-4,
    "schedule": "linear",
    "weight_decay": 1e-5,
    "ste": "polynomial",
    "image_size": _SIZE,
    "scale_min": 256,
    "scale_max": 256,
    "flip": True,
}
# Not from the paper: trains on folders of 64-pixel images, such as Tiny-ImageNet, in minutes on two cores.
_IMAGENET_64: Values = {"epochs": 15, "batch_size": 64, "lr": 0.001, "crop_pad": 8, "flip": True}

# Not from the paper: fine-tuning (--init) with some dozen photographs per class. Pretrained layers learn at 0.002, fast
# enough for signs to flip; frozen layers and a learning rate of 0.0001 were less accurate (docs/training.md).
_FINETUNE: Values = {
    "epochs": 40,
    "batch_size": 32,
    "lr": 0.01,
    "body_lr": 0.2,
    "warmup_epochs": 1.0,
    "mixup": 0.2,
    "crop_pad": 8,
    "flip": True,
}

# Not from the paper: for photographs, from random weights, with time. A real network is trained first, and teaches one
# with binary activations and then the binary one (arXiv:2003.11535, arXiv:2003.03488).
_BEST: Values = {
    "model": "quick2",
    "stages": 3,
    "epochs": 60,
    "batch_size": 64,
    "lr": 0.002,
    "weight_decay": 1e-5,
    "ste": "polynomial",
    "crop_pad": 8,
    "flip": True,
}

_NETWORKS: dict[str, Values] = {
    "alexnet": _ALEXNET,
    "resnet18": _RESNET18,
    "googlenet": _GOOGLENET,
    "cifar_vgg": _CIFAR_VGG,
    "nin": _NIN,
    "lenet5": _LENET5,
    "quick": _IMAGENET_64,
    "birealnet18": _REACTNET18,
    "reactnet18": _REACTNET18,
    "quick2": _IMAGENET_64,
}
_LARGE = ("alexnet", "resnet18", "googlenet")  # trained by SGD, except with binary inputs


_OF_PHOTOS = {"imagenet-64": _IMAGENET_64, "finetune": _FINETUNE, "best": _BEST}  # these set no mode
OF_PHOTOS = tuple(_OF_PHOTOS)  # for photographs: they name no data set and suit none of the built-in ones


def names() -> tuple[str, ...]:
    """The names of all recipes: ``<network>-<mode>``, and those for photographs, which set no mode."""
    return (*(f"{network}-{mode}" for network in _NETWORKS for mode in MODES), *_OF_PHOTOS)


def values(name: str, given: Mapping[str, Any]) -> Values:
    """The training options of a recipe.

    Parameters
    ----------
    name
        One of :func:`names`.
    given
        Options that override the recipe. A mode among them sets the number of stages of ``best``, and an ``image_size``
        scales the range of the short side in proportion; ``data`` or ``dataset`` removes the recipe's own data set.

    Raises
    ------
    ValueError
        When there is no such recipe.
    """
    if name not in names():
        raise ValueError(f"unknown --recipe {name!r}; there are: {', '.join(names())}")
    if name in _OF_PHOTOS:
        found = dict(_OF_PHOTOS[name])
        # Between a real network and one with binary weights alone there is no stage, and a real one has none at all.
        fewer = {**dict.fromkeys(("bwn", "binaryconnect"), 2), "float": 1}.get(str(given.get("binarize")))
        return found | {"stages": fewer} if fewer is not None and "stages" in found else found
    network, mode = name.rsplit("-", 1)
    found = {"model": network, "binarize": mode, **_NETWORKS[network]}
    if network in _LARGE and mode in _SGD_MODES:
        found |= {"optimizer": "sgd", "momentum": 0.9}
    elif network in _LARGE:
        found |= {"lr": min(found["lr"] / 10, 0.001)}  # Adam: a tenth of SGD's 0.01 in the authors' code
    size = given.get("image_size")
    if isinstance(size, int) and "scale_min" in found:
        found |= {side: round(found[side] * size / _SIZE) for side in ("scale_min", "scale_max")}
    if given.get("data") is not None or given.get("dataset") is not None:
        found.pop("dataset", None)
    return found


def chosen(options: Mapping[str, Any], under: Mapping[str, Any]) -> Values:
    """What the recipe named among ``options`` sets; nothing where none is named.

    ``under`` has the options of the model that a training begins with, or none. A recipe for any network keeps that
    model's network, and has the stages for its mode.

    Raises
    ------
    ConfigError
        When there is no such recipe, or when it needs images or a model to begin from and the options name none.
    """
    name = options.get("recipe")
    if not isinstance(name, str):
        return {}
    try:
        kept = {} if network(options) else {key: under[key] for key in ("model", "binarize") if key in under}
        found = {key: value for key, value in values(name, {**kept, **options}).items() if key not in kept}
    except ValueError as error:
        raise ConfigError(str(error)) from error
    needs_images = name in OF_PHOTOS or "image_size" in found or "crop_pad" in found
    if needs_images and options.get("data") is None and options.get("dataset") is None:
        raise ConfigError(f"the recipe {name} needs images: name a store or folder of them with --data")
    if "body_lr" in found and options.get("init") is None:
        raise ConfigError(f"the recipe {name} needs a model to begin from: name it with --init")
    return found


def network(options: Mapping[str, Any]) -> Values:
    """The network and mode that the recipe's name says; nothing for recipes of any network, and where none is named."""
    name = options.get("recipe")
    if name in OF_PHOTOS or name not in names():
        return {}
    model, mode = str(name).rsplit("-", 1)
    return {"model": model, "binarize": mode}
