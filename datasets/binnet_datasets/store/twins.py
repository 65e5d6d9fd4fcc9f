"""Detection of validation images that also are training images: equal files, equal pixels, or similar pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.decoding import to_grey
from .images import StoreImages

Hashes = NDArray[np.uint64]

_GRID = 8
_DIFFERING = 12  # the most differing bits of 128: 99 of 100 photographs saved at 1/2 or 1/3 of their size differ less
_CROWD = 50  # a band that more training images than this have in common is ignored, as it does not discriminate
_COMPARED = 2000  # the most pairs whose pixels are compared
_SIDE, _CORRELATION = 32, 0.994  # copies of photographs reach 0.995, different images of Fashion-MNIST 0.99
_NAMED = 100  # the most pairs that are kept


def difference_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Return a perceptual hash: 128 bits, whether grey increases to the right and downwards on a grid of 8 x 8.

    Parameters
    ----------
    pixels : uint8 (H, W, 1 or 3)

    Returns
    -------
    16 bytes
    """
    right = np.diff(to_grey(pixels, (_GRID, _GRID + 1)).astype(np.int16), axis=1)
    down = np.diff(to_grey(pixels, (_GRID + 1, _GRID)).astype(np.int16), axis=0)
    return np.packbits(np.concatenate([right.ravel(), down.ravel()]) > 0).tobytes()


def find_twins(train: StoreImages, val: StoreImages, hashes: tuple[Hashes, Hashes]) -> dict[str, Any]:
    """Find the validation images that have a twin among the training images.

    Parameters
    ----------
    train, val : the two parts of a store
    hashes : of both, uint64 (N, 2) each, the bits of `difference_hash`

    Returns
    -------
    ``identical`` and ``alike``: how many validation images; ``pairs``: name in train, name in val of some of them
    """
    same = _identical(train, val)
    near = _alike(train, val, hashes, set(same))
    pairs = list({**same, **near}.items())[:_NAMED]
    names = [train.names, val.names] if pairs else []
    return {"identical": len(same), "alike": len(near), "pairs": [[names[0][i], names[1][j]] for j, i in pairs]}


def about_twins(description: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence about the result of `find_twins` in the description of a store; empty when there are no twins."""
    found = description.get("twins", {})
    identical, alike = found.get("identical", 0), found.get("alike", 0)
    if not identical + alike:
        return ()
    train, val = found["pairs"][0]
    count = identical + alike
    what = "validation image is a training image" if count == 1 else "validation images are training images"
    return (
        f"{count:,} {what} as well ({identical:,} identical, {alike:,} nearly so), such as {val} and {train}: "
        "accuracy on them says nothing about new images",
    )


def _identical(train: StoreImages, val: StoreImages) -> dict[int, int]:
    """Number of a validation image -> number of a training image with the same file or the same pixels."""
    found: dict[int, int] = {}
    # Equal pixels also tell of files that differ in their metadata only.
    for one, other in ((train.keys, val.keys), (_pixel_keys(train), _pixel_keys(val))):
        order = np.argsort(one, kind="stable")
        place = np.searchsorted(one[order], other)
        for j in np.flatnonzero(np.isin(other, one)).tolist():
            found.setdefault(j, int(order[place[j]]))
    return dict(sorted(found.items()))


def _pixel_keys(images: StoreImages) -> Hashes:
    """Number of pixels << 32 | CRC-32: uint64 (N,)."""
    keys: Hashes = images.sizes.prod(axis=1).astype(np.uint64) << np.uint64(32) | images.crc32
    return keys


def _alike(train: StoreImages, val: StoreImages, hashes: tuple[Hashes, Hashes], known: set[int]) -> dict[int, int]:
    """Number of a validation image, but for known ones -> number of the training image that is nearly the same."""
    differing, others, ones = _candidates(*hashes)
    # By validation image, of each the most similar first: lexsort takes its last key first.
    order = np.lexsort((ones, differing, others))
    order = order[~np.isin(others[order], list(known))][:_COMPARED]
    found: dict[int, int] = {}
    for i, j in zip(ones[order].tolist(), others[order].tolist(), strict=True):
        if j not in found and _correlation(train[i], val[j]) >= _CORRELATION:
            found[j] = i
    return found


def _candidates(train: Hashes, val: Hashes) -> NDArray[np.int64]:
    """Pairs with one of eight bands of 16 bits in common: int64 (3, pairs), differing bits, number in val and train."""
    found = [np.zeros((3, 0), np.int64)]
    # At most 7 differing bits leave one of 8 bands equal. Of 12 at random places, nine of ten pairs still have one.
    for one, other in zip(train.view(np.uint16).T, val.view(np.uint16).T, strict=True):
        order = np.argsort(one, kind="stable")
        first, last = (np.searchsorted(one[order], other, side) for side in ("left", "right"))
        count = np.where(last - first <= _CROWD, last - first, 0)
        others = np.repeat(np.arange(len(other)), count)  # the number in val of each pair
        ones = order[np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())]
        differing = np.bitwise_count(train[ones] ^ val[others]).sum(axis=1, dtype=np.int64)
        found.append(np.stack([differing, others, ones])[:, differing <= _DIFFERING])
    # A pair may have several bands in common.
    return np.unique(np.concatenate(found, axis=1), axis=1)


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of the grey levels of two images at one small size, -1 to 1; 0 when one has a single level."""
    a, b = (to_grey(pixels, (_SIDE, _SIDE)).astype(np.float64).ravel() for pixels in (one, other))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm else 0.0
