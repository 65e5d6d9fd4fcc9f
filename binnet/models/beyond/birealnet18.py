"""ResNet-18 with a shortcut around each binary convolution: Bi-Real Net (arXiv:1808.00278) and ReActNet's blocks in it.

Neither is in the XNOR-Net paper.
"""

from __future__ import annotations

from ...nn import Blocks, GlobalAvgPool, MaxPool2d, Named, ShortcutBlocks, ShortcutOptions
from ..sizes import Size, after, require_least

BI_REAL = ShortcutOptions()
REACT = ShortcutOptions(threshold="learned", activation="rprelu")
_DOUBLINGS = (1, 2, 4, 8)  # of the width, from stage to stage
_SMALL = 64  # pixels: the first convolution leaves images of up to this size as large as they are


def birealnet18(
    blocks: Blocks,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    shortcuts: ShortcutOptions = BI_REAL,
    *,
    width: int = 64,
) -> list[Named]:
    """The layers; the 3×3 convolutions are binary, each with a shortcut around it.

    The stages and channels are those of :func:`binnet.models.resnet18.resnet18`: sixteen 3×3 convolutions in four
    stages, of which all but the first halve the map. The first convolution, the classifier and the 1×1 convolutions of
    the shortcuts are real. The first convolution is 7×7 with stride 2, and a max pooling follows; for images of up to
    64 pixels, like those of CIFAR-10, it is 3×3 with stride 1, without a pooling.

    Parameters
    ----------
    shortcuts
        ``BI_REAL``, Bi-Real Net, has no activation behind the sum, since the sign of the next convolution is one.
        ``REACT`` has ReActNet's thresholds and activations; the ReActNet of the paper's tables is built on MobileNet.
    width
        Channels of the first stage; the others have 2, 4 and 8 times as many.

    Raises
    ------
    ValueError
        For images below 8 pixels, or below 17 where the other side has more than 64, and for a width below 1.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(f"width must be a whole number, at least 1, got {width!r}")
    small = max(image_size) <= _SMALL
    require_least("a network of 18 layers", image_size, 8 if small else 17)
    if small:
        layers, size = blocks.first_conv("conv1", in_channels, width, 3, 1, 1), image_size
    else:
        layers = [*blocks.first_conv("conv1", in_channels, width, 7, 2, 3), ("conv1_pool", MaxPool2d(3, 2, 1))]
        size = after(image_size, (7, 2, 3), (3, 2, 1))
    row = ShortcutBlocks(blocks, shortcuts, width, size)
    for stage, doubling in enumerate(_DOUBLINGS, start=1):
        for number in range(1, 5):
            halve = number == 1 and stage > 1
            layers += row.add(f"stage{stage}_block{number}", width * doubling, halve=halve)
    return [*layers, ("average", GlobalAvgPool()), *blocks.last_linear("dense", row.channels, num_classes)]
