"""Parameter counts of the networks of the paper's figure 4a, computed from their layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Filters:
    """Equal layers of a network.

    Attributes
    ----------
    filters, kernel_size, channels : int
        Each layer has ``filters`` square filters over ``channels`` channels.
    count : int
        Number of layers.
    extra : int
        Parameters per filter besides its weights: 1 for a bias, 2 for batch normalisation.
    """

    filters: int
    kernel_size: int
    channels: int
    count: int = 1
    extra: int = 1

    @property
    def weights(self) -> int:
        """Number of weights of all layers."""
        return self.count * self.filters * self.kernel_size**2 * self.channels

    @property
    def parameters(self) -> int:
        """Number of weights and other parameters of all layers."""
        return self.weights + self.count * self.filters * self.extra


def _chain(sizes: Iterable[tuple[int, int]], channels: int) -> list[Filters]:
    """A sequence of layers, from their (filters, kernel size) and the channels of the first."""
    layers = []
    for filters, kernel_size in sizes:
        layers.append(Filters(filters, kernel_size, channels))
        channels = filters  # the filters of a layer are the channels of the next
    return layers


def _resnet18() -> list[Filters]:
    layers = [Filters(64, 7, 3, extra=2), Filters(64, 3, 64, count=4, extra=2)]
    for filters in (128, 256, 512):
        half = filters // 2
        # The first convolution of a stage doubles the channels; the 1x1 convolution is its shortcut.
        layers += [Filters(filters, 3, half, extra=2), Filters(filters, 3, filters, count=3, extra=2)]
        layers += [Filters(filters, 1, half, extra=2)]
    return [*layers, Filters(1000, 1, 512)]


_VGG_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
_VGG = [(filters, 3) for filters, count in _VGG_BLOCKS for _ in range(count)]

# Convolutions and dense layers in order; a dense layer on an image is a convolution with filters of the image's size.
NETWORKS: dict[str, Sequence[Filters]] = {
    "VGG-19": _chain([*_VGG, (4096, 7), (4096, 1), (1000, 1)], 3),
    "ResNet-18": _resnet18(),
    "AlexNet": _chain([(96, 11), (256, 5), (384, 3), (384, 3), (256, 3), (4096, 6), (4096, 1), (1000, 1)], 3),
}


def parameters(network: str) -> int:
    """Number of parameters of a network of :data:`NETWORKS`."""
    return sum(layer.parameters for layer in NETWORKS[network])


def inner_weights(network: str) -> int:
    """Number of weights between the first and the last layer, those that XNOR-Net binarises."""
    return sum(layer.weights for layer in NETWORKS[network][1:-1])
