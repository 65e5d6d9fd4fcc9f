"""What the options of a training must be together, which one option alone does not show."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ... import models
from ...models.own_network import is_own
from ...nn.options import CHOICES, USED_IN
from ...schedules import check_milestones
from .types import ConfigError, flag

Options = Mapping[str, Any]

_OF_PHOTOS = ("val", "classes", "layout", "max_corrupt")  # options of custom images


def check(values: Options, defaults: Options) -> None:
    """ConfigError when options, by name, do not go with each other, or would have no effect."""
    for each in (_check_network, _check_images, _check_optimizer, _check_loss):
        each(values, defaults)


def check_given(names: Collection[str], values: Options) -> None:
    """ConfigError when an option of a command line has no effect beside the others.

    Parameters
    ----------
    names
        The options that were given on the command line, and are not at their defaults. Others are accepted: a recipe, a
        configuration file or the model of ``--init`` may bring along what only another ``--binarize`` uses.
    values
        All options by name.
    """
    for name, needed in _needs(values):
        if name in names:
            typed = f"--no-{flag(name)[2:]}" if values[name] is False else flag(name)
            raise ConfigError(f"{typed} has no effect here: it needs {needed}")


def origins(message: str, given: Options, sources: Mapping[str, Options], defaults: Options) -> list[str]:
    """Where options come from that an error names and nobody gave: a clause for each; later sources win.

    Parameters
    ----------
    message
        The error.
    given
        The options that were given, by name.
    sources
        What else sets options, by its name for users, and what it sets.
    defaults
        All options at their defaults.
    """
    setters = {name: source for source, values in sources.items() for name in values if name not in given}
    values = {name: sources[source][name] for name, source in setters.items()}
    named = (name for name in sorted(values) if re.search(rf"{flag(name)}(?![\w-])", message))
    return [f"{flag(n)} {values[n]} comes from {setters[n]}" for n in named if values[n] != defaults[n]]


def _needs(values: Options) -> Iterator[tuple[str, str]]:
    """The options that have no effect beside ``values``, with what they need."""
    if values["schedule"] != "step":
        yield from ((name, f"--schedule step, got {values['schedule']}") for name in ("milestones", "factors"))
    if not values["weight_decay"]:
        yield "decay_until", "--weight-decay above 0, got 0"
    if values["teacher"] is not None and values["teacher_share"] == 1 and values["stages"] == 1:
        yield from ((name, "--teacher-share below 1, got 1") for name in ("loss", "label_smoothing", "class_weights"))
    if not is_own(values["model"]):  # a network of your own may use the options of binary layers in any mode
        yield from _needs_of_layers(values)


def _needs_of_layers(values: Options) -> Iterator[tuple[str, str]]:
    """The options of binary layers that have no effect."""
    mode, one_bit = values["binarize"], values["classifier"] == "one-bit"
    for name, modes in USED_IN.items():
        # A one-bit classifier has a scale in all modes but float.
        if mode not in modes and not (name == "scale" and one_bit and mode != "float"):
            *others, last = modes
            yield name, f"--binarize {' or '.join(filter(None, (', '.join(others), last)))}, got {mode}"
    if values["weights"] == "real" and not one_bit:
        yield from ((name, "--weights binary, got real") for name in ("weight_gradient", "scale", "clip", "center"))
    if values["binary_gradient"] not in ("ternary", "even"):
        yield "grad_bits", f"--binary-gradient ternary or even, got {values['binary_gradient']}"
    # In a training in stages, the stage before the last one takes signs whatever the bits are, and uses ste.
    if values["act_bits"] > 1 and values["stages"] == 1:
        yield "ste", f"--act-bits 1, got {values['act_bits']}"
    # In the order cbap the signs are taken by a layer of their own, whatever the bits of the weights are.
    if values["weight_bits"] > 1 and values["stages"] == 1 and values["order"] == "bacp":
        yield "ste", f"--weight-bits 1, got {values['weight_bits']}"


def _check_network(values: Options, defaults: Options) -> None:
    model = values["model"]
    if model is not None and model not in models.names() and not is_own(model):
        known = ", ".join(models.names())
        raise ConfigError(
            f"unknown --model {model!r}; there are: {known}; "
            "or FILE.py:FUNCTION for a network of your own, such as net.py:build"
        )
    gradient, bits = values["binary_gradient"], (values["weight_bits"], values["act_bits"])
    if gradient != "off" and bits != (1, 1):
        raise ConfigError(
            f"--binary-gradient must be off unless --weight-bits and --act-bits are 1, got {gradient} with "
            f"{bits[0]} and {bits[1]}"
        )
    if values["weights"] == "real":
        for name in ("use_k", "binary_gradient", "weight_bits", "act_bits"):
            if values[name] != defaults[name]:
                only = CHOICES[name][0]
                raise ConfigError(f"{flag(name)} must be {only} with --weights real, got {values[name]}")
    for name in ("freeze_until", "body_lr"):
        if values["init"] is None and values[name] != defaults[name]:
            raise ConfigError(f"{flag(name)} needs --init: without a model to begin from there is nothing to spare")


def _check_images(values: Options, defaults: Options) -> None:
    low, high = values["scale_min"], values["scale_max"]
    if not low <= high or bool(low) != bool(high):
        raise ConfigError(f"--scale-min and --scale-max must be a range, or both 0, got {low} and {high}")
    for name in _OF_PHOTOS:
        if values[name] is not None and (values["data"] is None or values["dataset"] is not None):
            raise ConfigError(f"{flag(name)} is about images of your own: name them with --data, and no --dataset")


def _check_optimizer(values: Options, defaults: Options) -> None:
    if values["warmup_epochs"] > values["epochs"] and values["time_budget"] is None:
        raise ConfigError(
            f"--warmup-epochs must be at most --epochs ({values['epochs']}), got {values['warmup_epochs']:g}"
        )
    for name in ("momentum", "nesterov"):
        if values["optimizer"] != "sgd" and values[name] != defaults[name]:
            raise ConfigError(f"{flag(name)} needs --optimizer sgd, got {values['optimizer']}")
    try:
        check_milestones(values["milestones"], values["factors"])
    except ValueError as error:
        raise ConfigError(f"--milestones: {error}") from error
    if values["micro_batches"] > values["batch_size"]:
        raise ConfigError(
            f"--micro-batches must be at most --batch-size ({values['batch_size']}), got {values['micro_batches']}"
        )
    if values["compress"] not in (0, 2):
        raise ConfigError(f"--compress must be 0 or 2, got {values['compress']}")


def _check_loss(values: Options, defaults: Options) -> None:
    for name in ("mixup", "class_weights", "label_smoothing"):
        if values[name] != defaults[name] and values["loss"] != "cross_entropy":
            raise ConfigError(f"{flag(name)} needs --loss cross_entropy, got {values['loss']}")
    for name in ("teacher_share", "temperature"):
        # In stages the first one may be the teacher.
        if values["teacher"] is None and values["stages"] == 1 and values[name] != defaults[name]:
            raise ConfigError(f"{flag(name)} needs --teacher: without one there are labels only")
