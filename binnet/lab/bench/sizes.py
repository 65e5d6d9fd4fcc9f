"""How many parameters the networks of the paper's figure 4a have, from their layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Filters:
    """``count`` layers of ``filters`` filters over ``channels`` channels, with bias or with batch norm (two values)."""

    filters: int
    kernel_size: int
    channels: int
    count: int = 1
    extra: int = 1  # values a filter has besides its weights

    @property
    def weights(self) -> int:
        return self.count * self.filters * self.kernel_size**2 * self.channels

    @property
    def parameters(self) -> int:
        return self.weights + self.count * self.filters * self.extra


def _chain(sizes: Iterable[tuple[int, int]], channels: int) -> list[Filters]:
    """Layers one after the other, from (filters, kernel size) of each."""
    layers = []
    for filters, kernel_size in sizes:
        layers.append(Filters(filters, kernel_size, channels))
        channels = filters
    return layers


def _resnet18() -> list[Filters]:
    layers = [Filters(64, 7, 3, extra=2), Filters(64, 3, 64, count=4, extra=2)]
    for filters in (128, 256, 512):
        half = filters // 2
        layers += [Filters(filters, 3, half, extra=2), Filters(filters, 3, filters, count=3, extra=2)]
        layers += [Filters(filters, 1, half, extra=2)]
    return [*layers, Filters(1000, 1, 512)]


_VGG_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
_VGG = [(filters, 3) for filters, count in _VGG_BLOCKS for _ in range(count)]

# Convolutions and dense layers in order; a dense layer on a map is a convolution with filters of the map's size.
NETWORKS: dict[str, Sequence[Filters]] = {
    "VGG-19": _chain([*_VGG, (4096, 7), (4096, 1), (1000, 1)], 3),
    "ResNet-18": _resnet18(),
    "AlexNet": _chain([(96, 11), (256, 5), (384, 3), (384, 3), (256, 3), (4096, 6), (4096, 1), (1000, 1)], 3),
}


def parameters(network: str) -> int:
    """All parameters of a network of :data:`NETWORKS`."""
    return sum(layer.parameters for layer in NETWORKS[network])


def inner_weights(network: str) -> int:
    """The weights between the first and the last layer: those that XNOR-Net makes binary."""
    return sum(layer.weights for layer in NETWORKS[network][1:-1])
