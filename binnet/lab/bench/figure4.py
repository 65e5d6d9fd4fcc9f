"""``binnet bench figure4``: figure 4 of the paper, measured values beside the paper's theory."""

from __future__ import annotations

from typing import Any

from . import sizes
from .layers import Row, Tick
from .shapes import Layer
from .timing import medians
from .workload import Workload

MIB = 2**20
# The values printed in figure 4a: memory in double precision and in binary, in MB.
PAPER_MB = {"VGG-19": (1024, 16), "ResNet-18": (100, 1.5), "AlexNet": (475, 7.4)}
# Figure 4b varies the channels with 3x3 filters, figure 4c the filter size with 256 channels.
CHANNELS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
FILTERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20)
QUICK_CHANNELS, QUICK_FILTERS = (1, 64), (1, 3)


def points(quick: bool) -> tuple[list[Layer], list[Layer]]:
    """The layers of figures 4b (channels) and 4c (filter sizes), with 256 filters on 14x14 images as in the paper."""
    channels, windows = (QUICK_CHANNELS, QUICK_FILTERS) if quick else (CHANNELS, FILTERS)
    # A padding of half the filter keeps the output close to 14x14 for every filter size.
    return [Layer(c, 14, 256, 3, 1, 1) for c in channels], [Layer(256, 14, 256, k, 1, k // 2) for k in windows]


def memory() -> list[Row]:
    """Rows of figure 4a: memory of three networks in MiB by dtype of the parameters, computed from their layers."""
    rows = []
    for network, (double, binary) in PAPER_MB.items():
        count, inner = sizes.parameters(network), sizes.inner_weights(network)
        widths = {"double": 8 * count, "float32": 4 * count, "one_bit": count / 8}
        packed = 4 * (count - inner) + inner / 8  # what a packed model has: one bit for inner weights, float32 else
        mib: dict[str, Any] = {name: size / MIB for name, size in {**widths, "inner_one_bit": packed}.items()}
        rows.append({"network": network, "parameters": count, **mib, "paper_double": double, "paper_one_bit": binary})
    return rows


def speed(layers: list[Layer], seconds: float, tick: Tick) -> list[Row]:
    """Rows of figure 4b or 4c: speed-up of the whole binary layer over both float convolutions, for one image."""
    rows = []
    for layer in layers:
        rows.append(_point(layer, seconds))
        tick(str(layer))
    return rows


def _point(layer: Layer, seconds: float) -> Row:
    work = Workload(layer)
    # Pack and popcount are not timed apart here; the figure shows whole layers only.
    times = medians({name: work.calls[name] for name in ("whole", "float32", "plain")}, seconds)
    plain = times["plain"] * work.plain_factor
    return {
        "channels": layer.channels,
        "kernel_size": layer.kernel_size,
        "whole_s": times["whole"],
        "float32_s": times["float32"],
        "plain_s": plain,
        "plain_scaled": work.plain_factor != 1,
        "plain_ratio": plain / times["whole"],
        "float32_ratio": times["float32"] / times["whole"],
        "theory": layer.theory,
    }
