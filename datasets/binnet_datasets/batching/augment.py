"""What is random about training images, and the drawing of it."""

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
    scale : the least and the most pixels that the short side is resized to, drawn anew for each image; implies ``crop``
    crop : whether the window of ``image_size`` is cut at a random place out of larger images, not at the centre
    """

    pad: int = 0
    flip: bool = False
    mode: Mode = "reflect"
    scale: tuple[int, int] | None = None
    crop: bool = False

    def check(self, image_size: tuple[int, int]) -> None:
        """Raise ValueError unless this suits training images of ``image_size``."""
        check_pad(self.pad, self.mode, *image_size)
        if self.scale is not None and not _is_range(self.scale, max(image_size)):
            rule = f"two whole numbers, the least and the most, of at least {max(image_size)}"
            raise ValueError(f"scale must be {rule}, got {self.scale}")


def _is_range(scale: tuple[int, int], least: int) -> bool:
    whole = all(isinstance(side, int | np.integer) for side in scale)
    return whole and len(scale) == 2 and least <= scale[0] <= scale[1]


@dataclass(frozen=True)
class Sampling:
    """In which order, and how changed, the images of an epoch come; all follows from ``(seed, epoch)``.

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
    """All that is random in an epoch, image by image in the order of the epoch; None for what is not asked for.

    Attributes
    ----------
    order : int64 (N,), which image
    padding : int64 (N, 2), 0..2*pad, where `pad_and_crop` cuts
    flipped : bool (N,)
    place : float64 (N, 2) in [0, 1), where the window lies in the room it has
    short : int64 (N,), the short side, pixels
    """

    order: NDArray[np.int64]
    padding: NDArray[np.int64] | None
    flipped: NDArray[np.bool_] | None
    place: NDArray[np.float64] | None
    short: NDArray[np.int64] | None

    def part(self, places: slice) -> Draws:
        """Of a part of the order."""
        part: dict[str, Any] = {name: drawn if drawn is None else drawn[places] for name, drawn in vars(self).items()}
        return Draws(**part)


def draw(n: int, sampling: Sampling, epoch: int) -> Draws:
    """Draw an epoch of ``n`` images: a few numbers an image, so an epoch of 1.2 million takes some 50 MB.

    Everything follows from ``(seed, epoch)``, and each kind has a stream of its own, so that asking for one changes
    nothing about the others. Nothing is left to chance afterwards: who makes which batch when does not matter.
    """
    order_rng = np.random.default_rng([sampling.seed, epoch])
    padding_rng, flip_rng, place_rng, short_rng = order_rng.spawn(4)
    a = sampling.augment
    return Draws(
        order_rng.permutation(n) if sampling.shuffle else np.arange(n),
        padding_rng.integers(0, 2 * a.pad + 1, size=(n, 2)) if a.pad else None,
        flip_rng.random(n) < 0.5 if a.flip else None,
        place_rng.random((n, 2)) if a.crop or a.scale else None,
        short_rng.integers(a.scale[0], a.scale[1] + 1, n) if a.scale else None,
    )
