"""``binnet bench network``: a whole packed model, and the share of each kind of step."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from binnet_kernels.checks import Float

from .. import models
from ..evaluate import open_model
from ..packed import PackedModel, pack
from ..packed.steps import Add, Step
from .layers import Row
from .timing import medians

Times = dict[tuple[str, str], list[float]]  # by name and kind of the step


def open_network(target: str, binarize: str, num_classes: int, in_channels: int, image_size: int | None) -> PackedModel:
    """A packed model from a file, or a network by name with random weights.

    Raises
    ------
    ValueError
        When ``target`` is neither, or the network cannot be built like this.
    """
    if target in models.names():
        return pack(models.build(target, binarize, num_classes, in_channels, image_size))
    if not Path(target).exists():
        raise ValueError(f"{target} is neither a file nor a network; the networks are {', '.join(models.names())}")
    return open_model(target).packed


def measure(model: PackedModel, batch: int, seconds: float) -> tuple[list[Row], list[Row]]:
    """Times of the whole model on ``batch`` images, and of its steps by kind.

    Returns
    -------
    whole, kinds
        Rows ready for JSON, times in seconds. The steps are timed one by one, hence with a little more than what they
        take in the whole; a residual sum counts its branches as their own kinds, and itself as the addition.
    """
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, got {batch}")
    x = _images(model, batch)
    whole = medians({"whole": lambda: model(x)}, seconds)["whole"]
    row = {"batch": batch, "whole_s": whole, "images_per_s": batch / whole}
    return [row], [{"batch": batch, **kind} for kind in _kinds(model, x, seconds)]


def _images(model: PackedModel, batch: int) -> Float:
    shape = (batch, *model.spec.image_size, model.spec.in_channels)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _kinds(model: PackedModel, x: Float, seconds: float) -> list[Row]:
    """Sum over the steps of each kind of the median time of each step."""
    times: Times = defaultdict(list)
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        _run(model.steps, x, times)
    by_kind: dict[str, list[float]] = defaultdict(list)
    for (_, kind), each in times.items():
        by_kind[kind].append(statistics.median(each))
    total = sum(map(sum, by_kind.values()))
    rows = [{"kind": k, "steps": len(t), "seconds": sum(t), "share": sum(t) / total} for k, t in by_kind.items()]
    return sorted(rows, key=lambda row: -row["seconds"])


def _run(steps: Sequence[Step], x: Float, times: Times) -> Float:
    for step in steps:
        if isinstance(step, Add):
            left, right = _run(step.body, x, times), _run(step.shortcut, x, times)
            start = time.perf_counter()
            x = left + right
        else:
            start = time.perf_counter()
            x = step(x)
        times[step.name, type(step).__name__].append(time.perf_counter() - start)
    return x
