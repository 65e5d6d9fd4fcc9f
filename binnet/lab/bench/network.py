"""``binnet bench network``: time of a whole packed model and of each kind of step."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from ... import models, shipped
from ...engine import PackedModel
from ...engine.summary import summarise
from ...evaluation.evaluate import open_model
from ...graph.graph import Array
from ...packing import pack
from .layers import Row
from .timing import medians


def open_network(
    target: str, binarize: str, num_classes: int, in_channels: int, image_size: int | None, classifier: str = "real"
) -> PackedModel:
    """Open a packed model from a file, or build a network by name with random weights.

    Parameters
    ----------
    target
        Path of a model, name of a model that comes with binnet, or name of a network.
    binarize, num_classes, in_channels, image_size, classifier
        Options of a network by name, see :func:`binnet.models.build`.

    Raises
    ------
    ValueError
        When ``target`` is none of these, or the network cannot be built with the options.
    """
    if target in models.names():
        return pack(models.build(target, binarize, num_classes, in_channels, image_size, classifier=classifier))
    if not Path(target).exists() and target not in shipped.names():
        raise ValueError(f"{target} is neither a file nor a network; the networks are {', '.join(models.names())}")
    return open_model(target).packed


def sizes(model: PackedModel) -> list[Row]:
    """One row with the bytes of one-bit weights, scales, other arrays, the file, and all parameters as float32."""
    arrays = model.arrays()
    ends = ((".signs", ".planes"), ".alpha")
    signs, alpha = (sum(a.nbytes for name, a in arrays.items() if name.endswith(end)) for end in ends)
    real, file = sum(a.nbytes for a in arrays.values()) - signs - alpha, len(model.to_bytes())
    float32 = summarise(model).float32_bytes
    return [{"signs": signs, "alpha": alpha, "real": real, "file": file, "float32": float32}]


def measure(model: PackedModel, batch: int, seconds: float) -> tuple[list[Row], list[Row]]:
    """Measure the whole model on ``batch`` images, and its steps by kind.

    Returns
    -------
    whole, kinds : lists of rows
        JSON values, times in seconds. The fused steps of the engine are timed one by one, so that their sum is slightly
        more than the time of the whole.

    Raises
    ------
    ValueError
        When ``batch`` is less than 1.
    """
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, got {batch}")
    x = _images(model, batch)
    whole = medians({"whole": lambda: model(x)}, seconds)["whole"]
    row = {"batch": batch, "whole_s": whole, "images_per_s": batch / whole}
    return [row], [{"batch": batch, **kind} for kind in _kinds(model, x, seconds)]


def _images(model: PackedModel, batch: int) -> Array:
    rng, shape = np.random.default_rng(0), (batch, *model.input_shape)
    if model.takes_pixels:
        return rng.integers(0, 256, shape, np.uint8)
    return rng.standard_normal(shape, dtype=np.float32)


def _kinds(model: PackedModel, x: Array, seconds: float) -> list[Row]:
    """A row for each kind of step, slowest first: the sum of the median times of its steps."""
    profiles = [model.profile(x)]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        profiles.append(model.profile(x))
    by_kind: dict[str, list[float]] = defaultdict(list)
    macs: dict[str, int] = defaultdict(int)
    # One tuple for each step with its timings in all profiles: every profile lists the same steps in order.
    for timings in zip(*profiles, strict=True):
        by_kind[timings[0].kind].append(statistics.median(timing.seconds for timing in timings))
        macs[timings[0].kind] += timings[0].macs
    total = sum(map(sum, by_kind.values()))
    rows = [
        {"kind": k, "steps": len(t), "seconds": sum(t), "share": sum(t) / total, "gmacs": macs[k] / sum(t) / 1e9}
        for k, t in by_kind.items()
    ]
    return sorted(rows, key=lambda row: -row["seconds"])
