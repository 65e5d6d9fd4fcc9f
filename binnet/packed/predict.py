"""From image files or arrays to the names of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import binnet_datasets
from binnet_kernels.checks import Float

from ..images import read_for

if TYPE_CHECKING:
    from .model import PackedModel

Ranking = list[tuple[str, float]]


def predict(model: PackedModel, images: Any, top: int) -> Ranking | list[Ranking]:
    """See :meth:`binnet.PackedModel.predict`."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ValueError(f"top must be a whole number of at least 1, got {top!r}")
    if isinstance(images, str | Path):
        return _ranking(model, _logits(model, images), top)
    if isinstance(images, Sequence) and all(isinstance(image, str | Path) for image in images):
        return [_ranking(model, _logits(model, image), top) for image in images]
    array = np.asarray(images)
    if array.ndim not in (3, 4):
        raise ValueError(
            "expected image files, or an array (H, W, C) or (N, H, W, C), "
            f"got {type(images).__name__} of shape {array.shape}"
        )
    if array.ndim == 3:
        return _ranking(model, model(array[None])[0], top)
    return [_ranking(model, row, top) for row in model(array)]


def _logits(model: PackedModel, path: str | Path) -> Float:
    """Of an image file."""
    mean, std = model.info.normalisation()
    pixels = read_for(model.spec, model.info, path)
    row: Float = model(binnet_datasets.normalise(pixels[None], mean, std))[0]
    return row


def _ranking(model: PackedModel, logits: Float, top: int) -> Ranking:
    """The classes with the highest scores (C,), and their probabilities."""
    from binnet_kernels import softmax_cross_entropy

    _, probabilities = softmax_cross_entropy(logits[None], np.zeros(1, np.int64))
    order = np.argsort(-probabilities[0], kind="stable")[:top]
    return [(model.info.class_name(int(i)), float(probabilities[0, i])) for i in order]
