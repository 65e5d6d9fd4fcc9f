"""Everything a training can be told, in one dataclass: the source of flags, help, config files and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields, replace
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

import binnet_datasets
from binnet_datasets.sources.splits import LAYOUTS

from .. import models
from ..models.own_network import is_own
from ..nn.options import CHOICES
from ..schedules import SCHEDULES
from . import budget
from .options import recipes, together
from .options.types import (
    ConfigError,
    Count,
    Fraction,
    Natural,
    NonNegative,
    Numbers,
    Part,
    Share,
    Switch,
    Temperature,
    Whole,
    Word,
    binary,
    flag,
    option,
)

__all__ = ["ConfigError", "TrainConfig", "numbers", "type_of"]

OPTIMIZERS = ("adam", "sgd")
LOSSES = ("cross_entropy", "squared_hinge")
CLASS_WEIGHTS = ("none", "balanced")
_SMALL = 64  # pixels


@dataclass(frozen=True)
class TrainConfig:
    """One training.

    ``dataset``, ``image_size`` and ``model`` may be left open with ``data`` alone, and where neither ``recipe`` nor
    ``scale_max`` is given also ``crop_pad`` and ``flip``; :meth:`resolved` fills in the last three. A ``recipe`` is
    only a name here; :meth:`from_dict` applies it.

    Raises
    ------
    ConfigError
        On construction, when a value has the wrong type, is out of range or is not one of the words there are.
    """

    recipe: Word | None = option(
        None,
        "preset under the other options: a network, a hyphen and a mode, as alexnet-xnor; for photographs imagenet-64, "
        "finetune, or best, which takes several times as long",
        recipes.names(),
        metavar="NAME",
    )
    dataset: Word | None = option(
        None, "what to train on; digits unless recipe or data say otherwise", binnet_datasets.names()
    )
    data: Word | None = option(
        None,
        "image store, or folder or archive of images; beside a dataset, folder with its files, of cifar10 also their "
        "archive (else downloaded)",
        metavar="PATH",
    )
    val: Word | None = option(
        None,
        "validation images: a share of each class to hold out (0.1 unless the data has its own), or a folder of them",
        metavar="SHARE|PATH",
    )
    classes: Word | None = option(
        None, "classes of data: the first N, ids with commas between, or a text file of ids", metavar="N|LIST|FILE"
    )
    layout: Word | None = option(
        None,
        "how the folders of data are read where train or val may be a class: as splits, or as classes",
        LAYOUTS,
    )
    max_corrupt: NonNegative | None = option(
        None, "share of the images in data that may be unreadable; 0.01 by default, but 3 images at least"
    )
    model: Word | None = option(
        None,
        f"network: {', '.join(models.names())}; lenet5 unless the recipe says otherwise, and quick2 for photographs of "
        f"your own, which are all images but grey ones of at most {_SMALL} pixels; or FILE.py:FUNCTION, which runs the "
        "code of a file of your own (loading a model never does): the function is called with those of num_classes, "
        "in_channels, image_size, binarize, seed and the options of binary layers that it takes, and returns a "
        "binnet.nn.Module for (N, H, W, C) images",
        metavar="NAME|FILE:FUNCTION",
    )
    init: Word | None = option(
        None,
        "fine-tune: begin with all arrays that fit by name and shape, from a checkpoint, packed model or run folder, "
        "or a model that comes with binnet by its name; network, mode and image size are its own unless given, and "
        "images are normalised as its own were",
        metavar="FILE",
    )
    freeze_until: Word | None = option(
        None, "with init: this layer and all before it do not learn, and stay in evaluation mode", metavar="LAYER"
    )
    body_lr: NonNegative = option(
        1.0, "with init: factor of the learning rate for the arrays taken from it; 0.2 is a fifth"
    )
    binarize: Word = option(
        "xnor", "what is binary: weights and inputs (xnor, bnn), weights (bwn, binaryconnect), or nothing", models.MODES
    )
    epochs: Count = option(50, "passes over the training images")
    time_budget: Word | None = option(
        None,
        "as many steps as fit into it, but at least one epoch, whatever epochs says; such as 20m or 1h30m",
        metavar="TIME",
    )
    stages: Count = option(
        1,
        "trainings one after the other, each of which begins with the weights of the one before and has a share of the "
        "epochs; 3 (xnor, bnn): real network, binary inputs with real weights, binary network; 2: the last two of "
        "these, or for bwn and binaryconnect the real network and the binary one",
        (1, 2, 3),
    )
    batch_size: Count = option(32, "images in a step")
    lr: NonNegative = option(0.002, "highest learning rate")
    optimizer: Word = option("adam", "update rule", OPTIMIZERS)
    momentum: Fraction = option(0.9, "of sgd, in [0, 1)")
    nesterov: Switch = option(False, "Nesterov's form of the momentum")
    weight_decay: NonNegative = option(0.0, "on real weights; binary ones and batch norm are spared")
    decay_until: Share = option(1.0, "share of the training after which weight decay is 0")
    schedule: Word = option("cosine", "of the learning rate", SCHEDULES)
    milestones: Numbers = option((0.5, 0.75), "of schedule step: rising shares of the training")
    factors: Numbers = option((0.1, 0.01), "of schedule step: times lr, from each milestone on")
    warmup_epochs: NonNegative = option(0.0, "epochs in which the learning rate rises from 0")
    loss: Word = option("cross_entropy", "what is minimised", LOSSES)
    label_smoothing: Fraction = option(0.0, "share of the target spread over all classes, in [0, 1)")
    mixup: NonNegative = option(0.0, "alpha of the mixing of pairs of images (arXiv:1710.09412), 0 for none")
    class_weights: Word = option("none", "of the loss: balanced makes all classes count the same", CLASS_WEIGHTS)
    teacher: Word | None = option(
        None,
        "model whose scores are learned too (arXiv:1503.02531), of the same classes and image size: checkpoint, packed "
        "model, run folder, or a model that comes with binnet by its name",
        metavar="FILE",
    )
    teacher_share: Share = option(0.9, "with teacher: its share of the loss; the labels have the rest")
    temperature: Temperature = option(2.0, "with teacher: scores are divided by it before the softmax")
    accumulate: Count = option(1, "batches whose gradients are added up for an update")
    micro_batches: Count = option(
        1,
        "parts of a batch whose gradients are summed apart; the result depends on their number, and not on that of "
        "the processes that compute them",
    )
    local_norm: Switch = option(
        False, "of several workers each normalises by the statistics of its own images, which changes the result"
    )
    compress: Natural = option(
        0,
        "bits of the gradients that workers send each other, 2, or 0 for floats; it changes the result, which then "
        "depends on the number of workers, and on resuming, which forgets what rounding left over",
    )
    statistics_until: Part = option(1.0, "share of the training after which batch norm keeps its running statistics")
    ema: Fraction = option(
        0.0, "decay of moving averages of the weights, which are validated and kept in best.h5; 0 for none"
    )
    patience: Natural = option(0, "epochs without a better validation that end the training, 0 for no limit")
    clip_norm: NonNegative = option(0.0, "largest norm of all gradients together, 0 for no limit")
    image_size: Count | None = option(
        None,
        "side in pixels; by default that of the data or of init, of a folder the median short side, at most 256",
    )
    scale_min: Natural = option(
        0,
        "training images are resized before cropping to a random short side, at least of so many pixels; 0 to leave it",
    )
    scale_max: Natural = option(0, "the same, at most")
    crop_pad: Natural | None = option(
        None,
        "reflected border from which training images are cropped at random, in pixels; 0, but for photographs of your "
        "own, without recipe and scale_max, an eighth of the side",
    )
    flip: Switch | None = option(
        None,
        "mirror training images at random; off, but on for photographs of your own without recipe and scale_max",
    )
    weight_gradient: Word = binary("weight_gradient", "gradient of alpha sign(W)")
    use_k: Switch = binary("use_k", "multiply by the map K of Eq. 11")
    scale: Word = binary("scale", "alpha: mean of |W| (Eq. 6), or learned")
    order: Word = binary("order", "of a block: BNorm-Activ-Conv-Pool, or Conv-BNorm-Activ-Pool")
    clip: Switch = binary("clip", "keep real weights within ±1")
    center: Switch = binary("center", "subtract the mean over input channels before binarising")
    ste: Word = binary("ste", "gradient of the sign of activations")
    pad_value: Whole = binary("pad_value", "border of a binary convolution")
    classifier: Word = binary("classifier", "weights of the last layer")
    binary_gradient: Word = binary("binary_gradient", "rounding of gradients, so that the backward pass is binary too")
    grad_bits: Whole = binary("grad_bits", "bits of a ternary or even binary gradient")
    weight_bits: Whole = binary("weight_bits", "bits of a weight where inputs are binary: q_k of section 3.2")
    act_bits: Whole = binary("act_bits", "bits of an input of a binary layer")
    weights: Word = binary("weights", "of layers with binary inputs; a training in stages begins with real ones")
    model_options: Word | None = option(
        None, "options that only this network has, such as activation=rprelu,width=32", metavar="NAME=VALUE,..."
    )
    seed: Natural = option(0, "random seed for weights, order of images and augmentation")
    workers: Natural = option(1, "threads that prepare batches in the background, 0 for none")
    checkpoint_every: NonNegative = option(10.0, "minutes between checkpoints within an epoch, 0 for none")
    tensorboard: Switch = option(False, "write the figures for TensorBoard as well")

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, checked(f, getattr(self, f.name)))
        if self.dataset is None and self.data is None:
            object.__setattr__(self, "dataset", "digits")
        if self.dataset is not None:
            self._fill(model="lenet5")
        if self.dataset is not None or self.recipe is not None or self.scale_max:
            self._fill(crop_pad=0, flip=False)
        together.check(vars(self), {f.name: f.default for f in fields(self)})
        try:
            if own := self.own_options():
                object.__setattr__(self, "model_options", models.written_own_options(str(self.model), own))
        except ValueError as error:
            raise ConfigError(f"--model-options: {error}") from error
        try:
            if self.time_budget is not None:
                budget.seconds(self.time_budget)
        except ValueError as error:
            raise ConfigError(f"--time-budget: {error}") from error

    def _fill(self, **values: Any) -> None:
        """Set the options that are open."""
        for name, value in values.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def build_options(self, channels: int | None = None) -> binnet_datasets.BuildOptions | None:
        """How a store of ``data`` is built; None when no option says anything about it.

        With ``channels`` its images have as many, unless it is a store already.
        """
        own_images = self.data is not None and self.dataset is None
        if channels not in (1, 3) or not own_images or binnet_datasets.is_store(str(self.data)):
            channels = 3
        if (self.val, self.classes, self.layout, channels) == (None, None, None, 3):
            return None
        val = () if self.val is None else (self.val,)
        return binnet_datasets.BuildOptions(None, channels, self.classes, val=val, layout=self.layout)

    def own_options(self) -> dict[str, Any]:
        """The options that only this network has, as :func:`binnet.models.build` takes them; ValueError for others."""
        if self.model_options is None or self.model is None:
            return {}
        if is_own(self.model):
            raise ValueError("a network of your own has its options in its own file")
        return models.own_options(self.model, self.model_options)

    def binary_options(self) -> dict[str, Any]:
        """The options of the binary layers, as :func:`binnet.models.build` takes them."""
        return {name: getattr(self, name) for name in CHOICES}

    def resolved(self, dataset: binnet_datasets.Dataset) -> TrainConfig:
        """The same with what is open chosen by the images: small grey ones are for lenet5, as they are, all others,
        photographs, for quick2, mirrored and cropped."""
        if None not in (self.model, self.crop_pad, self.flip):
            return self
        size = dataset.image_size
        photographs = max(size) > _SMALL or not dataset.is_grey()
        chosen: dict[str, Any] = {
            "model": "quick2" if photographs else "lenet5",
            "crop_pad": (self.image_size or min(size)) // 8 if photographs else 0,
            "flip": photographs,
        }
        return replace(self, **{name: value for name, value in chosen.items() if getattr(self, name) is None})

    def to_dict(self) -> dict[str, Any]:
        """All options by name, ready for JSON or TOML."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def changed(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        own, default = self.to_dict(), TrainConfig().to_dict()
        return {name: value for name, value in own.items() if value != default[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], under: Mapping[str, Any] | None = None) -> TrainConfig:
        """From options by name, the others as the recipe has them, then as in ``under``, then at their defaults.

        ``under`` has what the model of ``init`` sets. A recipe for any network leaves the network to it. ConfigError
        for bad options; it says which of those that it names come from the recipe or the model.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown option {unknown[0]!r}; there are: {', '.join(sorted(known))}")
        under = under or {}
        recipe = recipes.chosen(values, under)
        try:
            return cls(**{**under, **recipe, **values})
        except ConfigError as error:
            sources = {"the model of --init": under, f"the recipe {values.get('recipe')}": recipe}
            origins = together.origins(str(error), values, sources, {f.name: f.default for f in fields(cls)})
            raise ConfigError("; ".join((str(error), *origins))) from error

    def to_toml(self) -> str:
        """As a config file, with the network's own options at their defaults too, or a model of ``init`` sets them."""
        import tomli_w

        values = self.to_dict()
        if self.model is not None and not is_own(self.model):
            values["model_options"] = models.written_own_options(self.model, self.own_options(), full=True)
        return tomli_w.dumps({name: value for name, value in values.items() if value is not None})


_HINTS = get_type_hints(TrainConfig, include_extras=True)


def type_of(option: Field[Any]) -> type:
    """The plain type of an option: str, int, float, bool, or tuple for a row of floats."""
    plain: type = _annotated(option).__origin__
    return get_origin(plain) or plain


def numbers(text: str) -> tuple[float, ...]:
    """``"0.5, 0.75"`` as numbers; ValueError when it is none."""
    return tuple(float(part) for part in text.split(",") if part.strip())


def _annotated(option: Field[Any]) -> Any:
    """The type of an option from :mod:`.options.types`, without the None that it may be instead."""
    hint = _HINTS[option.name]
    return get_args(hint)[0] if option.default is None else hint


def checked(option: Field[Any], value: Any) -> Any:
    """The value in the option's own type, or ConfigError."""
    try:
        value = msgspec.convert(value, _HINTS[option.name])
    except msgspec.ValidationError as error:
        # msgspec names the type alone; the whole number of 400 digits in a file needs no more than its beginning
        wanted = _annotated(option).__metadata__[0].description
        raise ConfigError(f"{flag(option.name)} must be {wanted}, got {value!r:.80}") from error
    choices = option.metadata["choices"]
    if choices and value is not None and value not in choices:
        raise ConfigError(f"unknown {flag(option.name)} {value!r}; there are: {', '.join(map(str, choices))}")
    return value
