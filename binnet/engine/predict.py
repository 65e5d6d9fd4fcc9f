"""Prediction: image files or arrays to the names of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..graph.graph import Array, Float
from .pixels import as_input
from .preprocessing import Prepared, read_for

Ranking = list[tuple[str, float]]


class Classifier(Prepared, Protocol):
    """Interface of models that classify prepared images, such as :class:`binnet.PackedModel`."""

    @property
    def input_shape(self) -> tuple[int, int, int]: ...
    @property
    def gives_probabilities(self) -> bool: ...
    @property
    def takes_pixels(self) -> bool: ...
    def __call__(self, x: Any, /) -> Float: ...


def predict(model: Classifier, images: Any, top: int) -> Ranking | list[Ranking]:
    """See :meth:`binnet.PackedModel.predict`."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ValueError(f"top must be a whole number of at least 1, got {top!r}")
    prepared = [model(part) for part in _prepared(model, images)]  # files one by one, an array at once
    rankings = [_ranking(model, row, top) for logits in prepared for row in logits]
    return rankings[0] if _is_single(images) else rankings


def preprocess(model: Classifier, images: Any) -> Array:
    """See :meth:`binnet.PackedModel.preprocess`; the model checks the result."""
    parts = [_as_input(model, part) for part in _prepared(model, images)]
    dtype = np.uint8 if model.takes_pixels else np.float32
    return np.concatenate(parts) if parts else np.zeros((0, *model.input_shape), dtype)


def _is_single(images: Any) -> bool:
    return isinstance(images, str | Path) or (not isinstance(images, list | tuple) and np.ndim(images) == 3)


def _prepared(model: Classifier, images: Any) -> list[Any]:
    """Batches of normalised images or pixels, which the model takes both."""
    if isinstance(images, str | Path):
        return [as_input(model, read_for(model, images)[None])]
    if isinstance(images, list | tuple):
        found = [batch for image in images for batch in _prepared(model, image)]
        if any(len(batch) != 1 for batch in found):
            raise ValueError("a list of images holds files and arrays (H, W, C), got an array (N, H, W, C)")
        return found
    array = np.asarray(images)
    if array.ndim not in (3, 4):
        raise ValueError(
            "expected image files, or an array (H, W, C) or (N, H, W, C), "
            f"got {type(images).__name__} of shape {array.shape}"
        )
    return [array[None] if array.ndim == 3 else array]


def _as_input(model: Classifier, images: Any) -> Array:
    if images.dtype == np.uint8:
        return as_input(model, images)
    if images.dtype.kind != "f":
        raise TypeError(f"images must be normalised real numbers, or pixels as uint8, got {images.dtype}")
    floats: Float = images.astype(np.float32, copy=False)
    return floats


def _ranking(model: Classifier, logits: Float, top: int) -> Ranking:
    """The classes with the highest scores (C,), and their probabilities."""
    if logits.ndim != 1:
        raise ValueError(f"the model's result is no row of classes, but {logits.shape} for an image")
    probabilities = logits
    if not model.gives_probabilities:
        powers = np.exp(logits.astype(np.float64) - logits.max())
        probabilities = powers / powers.sum()
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(model.info.class_name(int(i)), float(probabilities[i])) for i in order]
