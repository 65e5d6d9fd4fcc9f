"""``binnet bench figure4``: the paper's figure 4, measured beside what the paper expects."""

from __future__ import annotations

from typing import Any

from . import sizes
from .layers import Row, Tick
from .shapes import Layer
from .timing import medians
from .workload import Workload

MIB = 2**20
# What figure 4a says: double precision and binary, in MB.
PAPER_MB = {"VGG-19": (1024, 16), "ResNet-18": (100, 1.5), "AlexNet": (475, 7.4)}
CHANNELS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
FILTERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20)
QUICK_CHANNELS, QUICK_FILTERS = (1, 64), (1, 3)


def points(quick: bool) -> tuple[list[Layer], list[Layer]]:
    """The layers of (b), over channels, and of (c), over filter sizes: 256 filters on 14x14, as in the paper's text."""
    channels, windows = (QUICK_CHANNELS, QUICK_FILTERS) if quick else (CHANNELS, FILTERS)
    return [Layer(c, 14, 256, 3, 1, 1) for c in channels], [Layer(256, 14, 256, k, 1, k // 2) for k in windows]


def memory() -> list[Row]:
    """(a): the memory of three networks by the width of their parameters, in MiB, computed from their layers."""
    rows = []
    for network, (double, binary) in PAPER_MB.items():
        count, inner = sizes.parameters(network), sizes.inner_weights(network)
        widths = {"double": 8 * count, "float32": 4 * count, "one_bit": count / 8}
        packed = 4 * (count - inner) + inner / 8
        mib: dict[str, Any] = {name: size / MIB for name, size in {**widths, "inner_one_bit": packed}.items()}
        rows.append({"network": network, "parameters": count, **mib, "paper_double": double, "paper_one_bit": binary})
    return rows


def speed(layers: list[Layer], seconds: float, tick: Tick) -> list[Row]:
    """(b) or (c): speed-up of the whole binary layer, one image at a time, over both float convolutions."""
    rows = []
    for layer in layers:
        rows.append(_point(layer, seconds))
        tick(str(layer))
    return rows


def _point(layer: Layer, seconds: float) -> Row:
    work = Workload(layer)
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
