"""Comparison of two models on the same images, such as a packed model and the network that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from binnet_datasets import Loader, Split
from binnet_kernels.checks import Float

from ..engine.preprocessing import view_of
from ..modelfile.info import DataInfo

Logits = Callable[[Float], Float]
BATCH = 32


@dataclass(frozen=True)
class Agreement:
    """Differences between the results of two models.

    Attributes
    ----------
    n : int
        Number of images.
    differing : int
        Number of images for which the models predict different classes.
    largest : float
        The largest absolute difference of two logits; NaN when a logit is NaN.
    relative : float
        ``largest`` divided by the largest absolute logit of the expected model (undivided when all are 0).
    """

    n: int
    differing: int
    largest: float
    relative: float


def compare(
    expected: Logits,
    found: Logits,
    split: Split,
    info: DataInfo,
    image_size: tuple[int, int],
    tick: Callable[[int], None] | None = None,
) -> Agreement:
    """Run two models on the same images.

    Parameters
    ----------
    expected, found
        Functions of float32 (N, H, W, C) to float32 (N, num_classes).
    split
        Images; the labels are ignored.
    info
        Preprocessing and normalisation of the images.
    image_size
        Rows and columns of the models' input.
    tick
        Called with the number of images after each batch.

    Raises
    ------
    ValueError
        When there are no images.
    """
    if not len(split):
        raise ValueError("there are no images to compare the models on")
    differing, largest, scale = 0, np.float32(0), np.float32(0)
    mean, std = info.normalisation()
    view = view_of(info, split, image_size)
    for images, labels in Loader(split, BATCH, mean=mean, std=std, view=view).epoch():
        # np.maximum passes NaN on, whereas max() would lose it.
        a, b = expected(images), found(images)
        differing += int((a.argmax(axis=1) != b.argmax(axis=1)).sum())
        largest, scale = np.maximum(largest, np.abs(a - b).max()), np.maximum(scale, np.abs(a).max())
        if tick:
            tick(len(labels))
    return Agreement(len(split), differing, float(largest), float(largest / scale) if scale else float(largest))
