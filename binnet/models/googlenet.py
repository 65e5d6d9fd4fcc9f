"""The GoogLeNet variant of table 2: Darknet's "Extraction", straight through, without branches."""

from __future__ import annotations

from ..nn import Blocks, GlobalAvgPool, MaxPool2d, Named
from .sizes import Size, require_least

# Filters and their size, for the convolutions between one pooling and the next.
GROUPS = (
    ((192, 3),),
    ((128, 1), (256, 3), (256, 1), (512, 3)),
    (*((256, 1), (512, 3)) * 4, (512, 1), (1024, 3)),
    ((512, 1), (1024, 3)) * 2,
)


def googlenet(blocks: Blocks, num_classes: int, in_channels: int, image_size: Size) -> list[Named]:
    """The layers; of 21 convolutions the first and the last, the classifier of every pixel, are real.

    64@7/2 – MP2, the convolutions of :data:`GROUPS` with MP2 between the groups, classes@1, and the mean over all
    pixels. Any image of the least size and more fits.

    Deviations from Darknet: ReLU in place of the leaky one; a batch normalisation in every mode; no activation after
    the classifier.

    Raises
    ------
    ValueError
        For images below 31 pixels.
    """
    require_least("googlenet", image_size, 31)
    layers = blocks.first_conv("conv1", in_channels, 64, 7, 2, 3)
    channels, number = 64, 1
    for group in GROUPS:
        layers.append((f"conv{number}_pool", MaxPool2d(2)))
        for filters, size in group:
            number += 1
            layers += blocks.conv(f"conv{number}", channels, filters, size, padding=size // 2)  # the map keeps its size
            channels = filters
    layers += blocks.last_norm("last", channels, relu=False)
    return [*layers, *blocks.last_conv(f"conv{number + 1}", channels, num_classes), ("average", GlobalAvgPool())]
