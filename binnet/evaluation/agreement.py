"""Whether two models say the same about the same images: a packed one and the network it was made from."""

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
    """How far two models agree.

    Attributes
    ----------
    n : int
        Number of images.
    differing : int
        How many of them get another class.
    largest : float
        The largest difference of two logits; NaN when one of them is.
    relative : float
        The same as a share of the largest logit.
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
    """Run two models over the same images.

    Parameters
    ----------
    expected, found
        Functions of float32 (N, H, W, C) to float32 (N, num_classes).
    split
        Images; their labels do not matter.
    info
        Says how images are prepared and normalised.
    image_size
        Rows and columns that the models take.
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
        a, b = expected(images), found(images)
        differing += int((a.argmax(axis=1) != b.argmax(axis=1)).sum())
        largest, scale = np.maximum(largest, np.abs(a - b).max()), np.maximum(scale, np.abs(a).max())
        if tick:
            tick(len(labels))
    return Agreement(len(split), differing, float(largest), float(largest / scale) if scale else float(largest))
