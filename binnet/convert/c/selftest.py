"""Self-test of an exported program: images of random numbers, and the scores that the engine gives for them."""

from __future__ import annotations

import numpy as np

from ...engine import PackedModel
from ...graph.graph import Array
from .text import number

IMAGES = 2
# Of the largest score: processors without fused multiply-adds round otherwise.
TOLERANCE = 1e-3


def random_pixels(size: int, seed: int) -> Array:
    """Pixels uint8 (size,) of a generator of random numbers (xorshift) that the C program has too."""
    state, pixels = (seed * 2654435761 + 1) & 0xFFFFFFFF, np.empty(size, np.uint8)
    for i in range(size):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        pixels[i] = state >> 24
    return pixels


def selftest_fields(model: PackedModel, pixels: bool) -> dict[str, str]:
    """What ``templates/selftest.c`` is filled with; ``pixels`` says whether the program takes pixels or floats."""
    size = int(np.prod(model.input_shape))
    images = np.stack([random_pixels(size, seed) for seed in range(IMAGES)]).reshape(-1, *model.input_shape)
    scores = model(images if pixels else images.astype(np.float32) / 128 - 1).reshape(IMAGES, -1)
    value = "(uint8_t)(state >> 24)" if pixels else "(float)(state >> 24) / 128.0f - 1.0f"
    return {
        "IMAGES": str(IMAGES),
        "EXPECTED": ",\n".join("    {" + ", ".join(map(number, map(float, row))) + "}" for row in scores),
        "VALUE": value,
        "TOLERANCE": number(TOLERANCE * float(np.abs(scores[np.isfinite(scores)]).max(initial=0)) + 1e-6),
    }
