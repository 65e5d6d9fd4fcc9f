"""The speed-up S over the number of channels, by the paper's count and where both sides use vector instructions."""

from __future__ import annotations

from typing import Any

from binnet.lab.bench.shapes import Layer

VECTOR = (512 / 1.5) / 32  # multiply-adds a cycle with AVX-512: of signs, 3 instructions on 2 ports; of float32
CHANNELS = [2**i for i in range(11)]
KERNELS = [1, 3, 5, 11]
LABEL = "The speed-up S over the number of input channels, by the paper's count and with vector instructions"
CAPTION = (
    "S = L · taps / (taps + L), where taps are channels times pixels of the filter. The paper counts L = 64 signs "
    "for one real multiply-add. With AVX-512 instructions on both sides at their limit (section 6.3), L is 341 / "
    "32 = 10.7. Both are limits of arithmetic, not measurements. Drag the spot or use the slider."
)


def values() -> dict[str, Any]:
    """L with vectors, and S by `Layer.theory` for each filter size and number of channels."""
    theory = {k: [Layer(c, 14, 256, k, 1, k // 2).theory for c in CHANNELS] for k in KERNELS}
    return {"vector": VECTOR, "channels": CHANNELS, "theory": theory}
