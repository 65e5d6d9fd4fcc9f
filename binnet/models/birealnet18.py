"""ResNet-18 with a shortcut around each binary convolution: Bi-Real Net (arXiv:1808.00278) and ReActNet's blocks in it.

Neither is in the XNOR-Net paper.
"""

from __future__ import annotations

from ..nn import Blocks, GlobalAvgPool, MaxPool2d, Named, ShortcutBlocks, ShortcutOptions
from ..nn.options import check_word
from .sizes import Size, after, require_least

_DOUBLINGS = (1, 2, 4, 8)  # of the width, from stage to stage
_SMALL = 64  # pixels: images up to this size are not made smaller by the first convolution


def birealnet18(
    blocks: Blocks,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    *,
    width: int = 64,
    stem: str = "auto",
    threshold: str = "zero",
    activation: str = "none",
    downsample: str = "pool",
    scale_map: str = "none",
    first_bits: int = 1,
) -> list[Named]:
    """The layers; the 3×3 convolutions are binary, each with a shortcut around it.

    The stages and channels are those of :func:`binnet.models.resnet18.resnet18`: sixteen 3×3 convolutions in four
    stages, of which all but the first halve the map. The first convolution, the classifier and the 1×1 convolutions of
    the shortcuts are real. By default it is Bi-Real Net: no activation behind the sum, since the sign of the next
    convolution is one.

    Parameters
    ----------
    width
        Channels of the first stage; the others have 2, 4 and 8 times as many.
    stem
        Of the first convolution: ``"large"``, 7×7 with stride 2 and a max pooling; ``"small"``, 3×3 with stride 1, for
        images like those of CIFAR-10; ``"auto"``, small for images of up to 64 pixels.
    threshold, activation, downsample, scale_map, first_bits
        See :class:`binnet.nn.ShortcutOptions`.

    Raises
    ------
    ValueError
        For images below 8 pixels, or below 17 with the large stem; for a width below 1, and unknown words.
    """
    check_word("stem", stem, ("auto", "small", "large"))
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(f"width must be a whole number, at least 1, got {width!r}")
    small = stem == "small" or (stem == "auto" and max(image_size) <= _SMALL)
    require_least(f"the {'small' if small else 'large'} stem", image_size, 8 if small else 17)
    if small:
        layers, size = blocks.first_conv("conv1", in_channels, width, 3, 1, 1), image_size
    else:
        layers = [*blocks.first_conv("conv1", in_channels, width, 7, 2, 3), ("conv1_pool", MaxPool2d(3, 2, 1))]
        size = after(image_size, (7, 2, 3), (3, 2, 1))
    options = ShortcutOptions(threshold, activation, downsample, scale_map, first_bits)
    units = ShortcutBlocks(blocks, options, width, size)
    for stage, doubling in enumerate(_DOUBLINGS, start=1):
        for number in range(1, 5):
            halve = number == 1 and stage > 1
            layers += units.add(f"stage{stage}_block{number}", width * doubling, halve=halve)
    return [*layers, ("average", GlobalAvgPool()), *blocks.last_linear("dense", units.channels, num_classes)]
