"""Cut a split into batches of normalised float32, shuffled and augmented reproducibly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dataset import Split
from .transforms import Mode, channel_stats, check_pad, flip, normalise, pad_and_crop

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class Augment:
    """Random changes to training images.

    Attributes
    ----------
    pad : pixels of padding for `pad_and_crop`, 0 for none
    flip : whether to mirror left to right with probability 1/2
    mode : how to pad: "reflect" or "zero"
    """

    pad: int = 0
    flip: bool = False
    mode: Mode = "reflect"


def num_batches(n: int, batch_size: int, drop_last: bool = False) -> int:
    """Return how many batches ``n`` images make; raises ValueError unless n >= 0 and batch_size >= 1."""
    _check_int("n", n, 0)
    _check_int("batch_size", batch_size, 1)
    return n // batch_size if drop_last else -(-n // batch_size)


def batches(
    split: Split,
    batch_size: int,
    *,
    mean: ArrayLike,
    std: ArrayLike,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    augment: Augment | None = None,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Iterate once over a split.

    Order and augmentation follow from ``(seed, epoch)`` alone, so training that resumes at an epoch sees the same
    batches; the image at a given place of the order is changed in the same way whatever the batch size.

    Parameters
    ----------
    split : images uint8 (N, H, W, C) and labels
    batch_size : images in a batch, 1 or more; the last has what is left, or is left out with ``drop_last``
    mean, std : a number, or one for each channel, of images scaled to [0, 1]
    shuffle : whether to permute the images
    seed, epoch : 0 or more
    augment : random changes, or None

    Returns
    -------
    iterator of (images float32 (n, H, W, C), labels int64 (n,)), all new arrays

    Raises
    ------
    ValueError
        At the call, not at the first batch, when an argument is none of these.
    """
    count = num_batches(len(split), batch_size, drop_last)
    _check_int("seed", seed, 0)
    _check_int("epoch", epoch, 0)
    shift, scale = channel_stats(mean, std, split.images.shape[3])
    augment = augment or Augment()
    check_pad(augment.pad, augment.mode, *split.images.shape[1:3])
    order_rng = np.random.default_rng([seed, epoch])
    # Streams of their own: each draws image by image, so where the batches begin makes no difference.
    crop_rng, flip_rng = order_rng.spawn(2)
    order = order_rng.permutation(len(split)) if shuffle else np.arange(len(split))

    def generate() -> Iterator[Batch]:
        for start in range(0, count * batch_size, batch_size):
            index = order[start : start + batch_size]
            images = _augmented(split.images[index], augment, crop_rng, flip_rng)
            yield normalise(images, shift, scale), split.labels[index]

    return generate()


def _augmented(
    images: NDArray[np.uint8], augment: Augment, crop_rng: np.random.Generator, flip_rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Apply what `Augment` asks for."""
    if augment.pad:
        images = pad_and_crop(images, augment.pad, crop_rng, augment.mode)
    return flip(images, flip_rng) if augment.flip else images


def _check_int(name: str, value: object, least: int) -> None:
    """Raise ValueError unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
