"""Shares of a network's time with binary layers that are s times faster, and the limit that the real layers set."""

from __future__ import annotations

from typing import Any

from binnet.lab.bench.shapes import NETWORKS, Layer

START = 10
LABEL = "Shares of the time of a network with float and with binary layers, and the speed-up of the whole network"
CAPTION = (
    "Choose a network, and how many times faster its binary layers are (section 6.3: 10.7 against vectors, 58 "
    "measured by the paper against plain loops). Time counts as proportional to the multiply-adds for an image of "
    "224×224; normalisation, pooling and memory are left out. The dashed line is the limit of the speed-up, 1 / r."
)


def _resnet_stages() -> tuple[list[Layer], list[Layer]]:
    """The 3×3 convolutions of ResNet-18's four stages, and its 1×1 shortcuts."""
    inner, shortcuts = 4 * [Layer(64, 56, 64, 3, 1, 1)], []
    for channels, size in ((64, 56), (128, 28), (256, 14)):
        inner.append(Layer(channels, size, 2 * channels, 3, 2, 1))
        inner += 3 * [Layer(2 * channels, size // 2, 2 * channels, 3, 1, 1)]
        shortcuts.append(Layer(channels, size, 2 * channels, 1, 2, 0))
    return inner, shortcuts


def layers() -> dict[str, dict[str, list[Layer]]]:
    """Layers of two networks for images of 224×224, by network and part; only the part ``binary`` is binary."""
    inner, shortcuts = _resnet_stages()
    return {
        "ResNet-18": {
            "first": [Layer(3, 224, 64, 7, 2, 3)],
            "binary": inner,
            "shortcuts": shortcuts,
            "last": [Layer(512, 1, 1000, 1, 1, 0)],
        },
        "AlexNet": {
            "first": [Layer(3, 224, 96, 11, 4, 2)],
            "binary": list(NETWORKS["alexnet"]),
            "last": [Layer(4096, 1, 1000, 1, 1, 0)],
        },
    }


def macs() -> dict[str, dict[str, int]]:
    """Multiply-adds for one image, by network and part."""
    return {
        name: {part: sum(layer.macs for layer in of) for part, of in parts.items()} for name, parts in layers().items()
    }


def faster(network: str, s: float) -> float:
    """How many times faster the network is when its binary layers are s times faster (Amdahl's law)."""
    parts = macs()[network]
    return sum(parts.values()) / (sum(parts.values()) - parts["binary"] + parts["binary"] / s)


def values() -> dict[str, Any]:
    """Multiply-adds by network and part, and the s to begin with."""
    return {"macs": macs(), "s": START}
