"""Random changes to training images, and the random numbers for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.transforms import Mode, check_pad


@dataclass(frozen=True)
class Augment:
    """Random changes to training images, in this order: scale, crop, pad, flip.

    Attributes
    ----------
    pad : pixels of padding for `pad_and_crop`, 0 for none
    flip : whether to mirror left to right with probability 1/2
    mode : how to pad: "reflect" or "zero"
    scale : least and greatest short side in pixels; each image is resized to a random one between; implies ``crop``
    crop : whether the window of ``image_size`` is cropped from a larger image at a random place, not at its centre
    """

    pad: int = 0
    flip: bool = False
    mode: Mode = "reflect"
    scale: tuple[int, int] | None = None
    crop: bool = False

    def check(self, image_size: tuple[int, int]) -> None:
        """Raise ValueError unless these changes can be made to training images of ``image_size`` (rows, columns)."""
        check_pad(self.pad, self.mode, *image_size)
        if self.scale is not None and not _is_range(self.scale, max(image_size)):
            rule = f"two whole numbers, the least and the most, of at least {max(image_size)}"
            raise ValueError(f"scale must be {rule}, got {self.scale}")


def _is_range(scale: tuple[int, int], least: int) -> bool:
    whole = all(isinstance(side, int | np.integer) for side in scale)
    return whole and len(scale) == 2 and least <= scale[0] <= scale[1]


@dataclass(frozen=True)
class Sampling:
    """Order and random changes of the images of an epoch, which depend on ``(seed, epoch)`` alone.

    Attributes
    ----------
    shuffle : whether to permute the images
    seed : 0 or more
    augment : random changes to each image
    """

    shuffle: bool = False
    seed: int = 0
    augment: Augment = Augment()


@dataclass(frozen=True, eq=False)
class Draws:
    """All random numbers of an epoch, image by image in the order of the epoch; None for changes that are not made.

    Attributes
    ----------
    order : int64 (N,), indices of the images
    padding : int64 (N, 2), 0..2*pad, offsets at which `pad_and_crop` crops
    flipped : bool (N,), whether the image is mirrored
    place : float64 (N, 2) in [0, 1), position of the window, from the first to the last one possible
    short : int64 (N,), the short side in pixels
    """

    order: NDArray[np.int64]
    padding: NDArray[np.int64] | None
    flipped: NDArray[np.bool_] | None
    place: NDArray[np.float64] | None
    short: NDArray[np.int64] | None

    def part(self, places: slice | NDArray[np.int64]) -> Draws:
        """The random numbers of a part of the epoch."""
        part: dict[str, Any] = {name: drawn if drawn is None else drawn[places] for name, drawn in vars(self).items()}
        return Draws(**part)


def draw(n: int, sampling: Sampling, epoch: int) -> Draws:
    """Draw the random numbers of an epoch of ``n`` images; for 1.2 million images they take about 50 MB.

    All numbers depend on ``(seed, epoch)`` alone. Each kind has its own stream, so that switching one on does not
    change the others. Since all are drawn beforehand, it does not matter which thread makes which batch.
    """
    order_rng = np.random.default_rng([sampling.seed, epoch])  # a list: seed 1, epoch 2 is not seed 2, epoch 1
    # The order of these names is part of the result: it decides which stream each kind has.
    padding_rng, flip_rng, place_rng, short_rng = order_rng.spawn(4)
    a = sampling.augment
    return Draws(
        order_rng.permutation(n) if sampling.shuffle else np.arange(n),
        padding_rng.integers(0, 2 * a.pad + 1, size=(n, 2)) if a.pad else None,
        flip_rng.random(n) < 0.5 if a.flip else None,
        place_rng.random((n, 2)) if a.crop or a.scale else None,
        short_rng.integers(a.scale[0], a.scale[1] + 1, n) if a.scale else None,
    )
