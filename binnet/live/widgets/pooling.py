"""Max-pooling of signs beside signs of pooled values: what both orders leave of a patch of 4×4 values."""

from __future__ import annotations

from typing import Any

import numpy as np

from binnet import Tensor, nn, ops

SIDE, PATCHES = 4, 4096
LABEL = "A patch of 4 by 4 values, the largest signs of its windows, and the signs of its largest values"
CAPTION = (
    "The patch has values as a convolution gives them. Drag a cell up or down, flip its sign by a click, or use the "
    "arrow keys and the space bar. C-B-A-P takes signs, then the largest of each 2×2. B-A-C-P takes the largest "
    "value first; the next block subtracts the mean (here of these four values, in a network of the whole batch) "
    "and takes the sign. Violet is +1, orange is −1."
)


def orders(patches: Any) -> tuple[Any, Any]:
    """Signs behind both orders, C-B-A-P and B-A-C-P, from float32 (N, 4, 4, 1): two of (N, 2, 2, 1), by the layers."""
    pool, x = nn.MaxPool2d(2), Tensor(np.float32(patches))
    # The patches count as normalised already; the batch of the second normalisation is all of them.
    return pool(ops.sign(x)).numpy(), ops.sign(nn.BatchNorm(1)(pool(x))).numpy()


def values() -> dict[str, Any]:
    """A patch (16) in tenths to begin with, and the share of +1 in 4096 random patches: first, and by both orders."""
    rng = np.random.default_rng(2)
    patch = (10 * rng.standard_normal(SIDE**2)).round().clip(-20, 20).astype(int)
    random = rng.standard_normal((PATCHES, SIDE, SIDE, 1))
    shares = [float((part > 0).mean()) for part in (random, *orders(random))]
    return {"patch": patch.tolist(), "shares": shares}
