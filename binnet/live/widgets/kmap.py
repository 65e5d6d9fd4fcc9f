"""From a window of a small photograph to A, K and one output pixel of Eq. 11, with K on and off."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet.live.material import photograph

ROWS, SIDE = 20, 4
LABEL = "A small photograph, its map of magnitudes A, the scale map K, and the output of a filter with K and without"
CAPTION = (
    "Choose a pixel with the pointer or the sliders. The window is what lies under the 4×4 filter; A is the mean "
    "of the magnitudes of the three channels; K is the mean of A over the window. Orange is negative, violet "
    "positive. This is one filter made by hand; section 7.2 compares trained networks with K and without."
)


@cache
def maps() -> dict[str, Any]:
    """Photograph (H, W, 3) in [0, 1], filter (4, 4, 3), α, and maps: A (H, W), and K, dots, exact (H − 3, W − 3)."""
    photo = photograph(ROWS)
    x = ((photo - photo.mean((0, 1))) / photo.std((0, 1)))[None]
    y, across = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    edge = np.sin(across + 0.4 * y) * np.exp(-(across**2 + y**2) / 6)
    weight = np.repeat(edge[None, ..., None], 3, axis=3).astype(np.float32)
    return {
        "photo": photo,
        "alpha": float(bk.weight_alpha(weight)[0]),
        "a": np.abs(x[0]).mean(axis=-1),
        "k": bk.scale_map(x, SIDE)[0, ..., 0],
        "dots": bk.XnorConv2d(weight, alpha=False)(x)[0, ..., 0],
        "with": bk.XnorConv2d(weight, use_k=True)(x)[0, ..., 0],
        "without": bk.XnorConv2d(weight)(x)[0, ..., 0],
        "exact": bk.conv2d(x, weight)[0, ..., 0],
    }


def values() -> dict[str, Any]:
    """The maps, rounded, and the correlation of the output with the exact one, with K and without.

    To begin with, the pixel is chosen on which K has the largest effect.
    """
    found = maps()
    near = {name: float(np.corrcoef(found[name].ravel(), found["exact"].ravel())[0, 1]) for name in ("with", "without")}
    gap = np.abs(found["with"] - found["without"])
    return {
        "side": SIDE,
        "start": [int(i) for i in np.unravel_index(gap.argmax(), gap.shape)],
        "colours": ["#" + bytes((255 * pixel).astype(np.uint8)).hex() for pixel in found["photo"].reshape(-1, 3)],
        "alpha": round(found["alpha"], 7),
        "dots": found["dots"].astype(int).tolist(),
        # Six digits of K, so that its product with a count of up to 48 has three.
        **{
            name: [[round(float(v), digits) for v in row] for row in found[name]]
            for name, digits in (("a", 3), ("k", 6), ("exact", 3))
        },
        "correlation": near,
    }
