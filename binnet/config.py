"""Everything a training can be told, in one dataclass: the source of flags, help, config files and checkpoints."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import binnet_datasets

from . import models
from .nn.options import CHOICES
from .schedules import SCHEDULES

OPTIMIZERS = ("adam", "sgd")
LOSSES = ("cross_entropy", "squared_hinge")


class ConfigError(ValueError):
    """A configuration that cannot be: one sentence that names the option."""


def _option(default: Any, text: str, choices: tuple[Any, ...] = (), least: float | None = None, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices, "least": least, **more})


def _binary(name: str, text: str) -> Any:
    return _option(CHOICES[name][0], text, CHOICES[name])


@dataclass(frozen=True)
class TrainConfig:
    """One training.

    Raises
    ------
    ConfigError
        On construction, when a value has the wrong type, is out of range or is not one of the words there are.
    """

    dataset: str = _option("digits", "what to train on", binnet_datasets.names())
    data: str | None = _option(None, "folder with the data set's files (downloaded when not given)", metavar="PATH")
    model: str = _option("lenet5", "network", models.names())
    binarize: str = _option("xnor", "what is binary: weights and inputs, weights, nothing", models.MODES)
    epochs: int = _option(50, "passes over the training images", least=1)
    batch_size: int = _option(32, "images in a step", least=1)
    lr: float = _option(0.003, "highest learning rate", least=0)
    optimizer: str = _option("adam", "update rule", OPTIMIZERS)
    momentum: float = _option(0.9, "of sgd, in [0, 1)", least=0)
    nesterov: bool = _option(False, "Nesterov's form of the momentum")
    weight_decay: float = _option(0.0, "on real weights; binary ones and batch norm are spared", least=0)
    schedule: str = _option("cosine", "of the learning rate", SCHEDULES)
    warmup_epochs: float = _option(0.0, "rise of the learning rate from 0", least=0)
    loss: str = _option("cross_entropy", "what is minimised", LOSSES)
    label_smoothing: float = _option(0.0, "share of the target spread over all classes, in [0, 1)", least=0)
    crop_pad: int = _option(0, "reflected border from which training images are cropped at random, pixels", least=0)
    flip: bool = _option(False, "mirror training images at random")
    weight_gradient: str = _binary("weight_gradient", "gradient of alpha sign(W)")
    use_k: bool = _binary("use_k", "multiply by the map K of Eq. 11")
    scale: str = _binary("scale", "alpha: mean of |W| (Eq. 6), or learned")
    order: str = _binary("order", "of a block: BNorm-Activ-Conv-Pool, or Conv-BNorm-Activ-Pool")
    clip: bool = _binary("clip", "keep real weights within ±1")
    center: bool = _binary("center", "subtract the mean over input channels before binarising")
    ste: str = _binary("ste", "gradient of the sign of activations")
    pad_value: int = _binary("pad_value", "border of a binary convolution")
    seed: int = _option(0, "of all chance: weights, order of images, augmentation", least=0)

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        for name in ("momentum", "label_smoothing"):
            if getattr(self, name) >= 1:
                raise ConfigError(f"{_flag(name)} must be below 1, got {getattr(self, name)}")
        if self.warmup_epochs > self.epochs:
            raise ConfigError(f"--warmup-epochs must be at most --epochs ({self.epochs}), got {self.warmup_epochs:g}")

    def binary_options(self) -> dict[str, Any]:
        """The options of the binary layers, as :func:`binnet.models.build` takes them."""
        return {name: getattr(self, name) for name in CHOICES}

    def to_dict(self) -> dict[str, Any]:
        """All options by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """From options by name, the others at their defaults; ConfigError for an unknown name."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown option {unknown[0]!r}; there are: {', '.join(sorted(known))}")
        return cls(**values)

    def to_toml(self) -> str:
        """As a config file."""
        import tomli_w

        return tomli_w.dumps({name: value for name, value in self.to_dict().items() if value is not None})


def read_toml(path: str | Path) -> dict[str, Any]:
    """The options in a config file; ConfigError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def type_of(option: Field[Any]) -> type:
    """The plain type of an option: str, int, float or bool."""
    hint = get_type_hints(TrainConfig)[option.name]
    plain: type = str if hint == str | None else hint
    return plain


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _checked(option: Field[Any], value: Any) -> Any:
    """The value in the option's own type, or ConfigError."""
    if value is None and option.default is None:
        return None
    wanted, name, meta = type_of(option), _flag(option.name), option.metadata
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1023 else math.inf  # a TOML file may hold any number of digits
    if type(value) is not wanted or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(f"{name} must be {_kind(wanted)}, got {value!r}")
    if meta["choices"] and value not in meta["choices"]:
        raise ConfigError(f"unknown {name} {value!r}; there are: {', '.join(map(str, meta['choices']))}")
    if meta["least"] is not None and value < meta["least"]:
        raise ConfigError(f"{name} must be at least {meta['least']}, got {value}")
    assert option.default is not MISSING
    return value


def _kind(wanted: type) -> str:
    return {str: "a word", int: "a whole number", float: "a finite number", bool: "true or false"}[wanted]
