"""Self-test of an exported program: an image of random numbers, and the scores that the engine gives for it."""

from __future__ import annotations

import numpy as np

from ...engine import PackedModel
from ...graph.graph import Array
from .text import number

IMAGES = 2
# Of the largest score: processors without fused multiply-adds round otherwise.
TOLERANCE = 1e-3


def test_image(size: int, seed: int) -> Array:
    """Pixels uint8 (size,) of a generator of random numbers (xorshift) that the C program has too."""
    state, pixels = (seed * 2654435761 + 1) & 0xFFFFFFFF, np.empty(size, np.uint8)
    for i in range(size):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        pixels[i] = state >> 24
    return pixels


def selftest(name: str, model: PackedModel, pixels: bool) -> str:
    """The C function ``NAME_selftest``."""
    size = int(np.prod(model.input_shape))
    images = np.stack([test_image(size, seed) for seed in range(IMAGES)]).reshape(-1, *model.input_shape)
    scores = model(images if pixels else images.astype(np.float32) / 128 - 1).reshape(IMAGES, -1)
    listed = ",\n".join("    {" + ", ".join(map(number, map(float, row))) + "}" for row in scores)
    kind, value = ("uint8_t", "(uint8_t)(state >> 24)") if pixels else ("float", "(float)(state >> 24) / 128.0f - 1.0f")
    tolerance = number(TOLERANCE * float(np.abs(scores[np.isfinite(scores)]).max(initial=0)) + 1e-6)
    return f"""int {name}_selftest(void)
{{
    static const float expected[{IMAGES}][{scores.shape[1]}] = {{
{listed}}};
    static {kind} image[{size}];
    float scores[{scores.shape[1]}];
    int wrong = 0;
    for (uint32_t seed = 0; seed < {IMAGES}; seed++) {{
        uint32_t state = seed * 2654435761u + 1u;
        for (int i = 0; i < {size}; i++) {{
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            image[i] = {value};
        }}
        (void){name}_predict(image, scores);
        for (int i = 0; i < {scores.shape[1]}; i++) {{
            const float score = scores[i], right = expected[seed][i], difference = score - right;
            const int near = difference <= {tolerance} && difference >= -{tolerance};
            /* Scores may be infinite, or no numbers. */
            wrong += !(near || score == right || (score != score && right != right));
        }}
    }}
    return wrong;
}}
"""
