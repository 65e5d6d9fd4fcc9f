"""Blocks with a shortcut around each binary convolution, as in Bi-Real Net and the networks that followed it."""

from __future__ import annotations

from dataclasses import dataclass

from .blocks import Blocks
from .channels import PReLU, RPReLU, Shift, SpatialScale
from .containers import Named, Residual, Sequential
from .layers import AvgPool2d, BatchNorm, Conv2d, ReLU
from .module import Module
from .options import check_word

THRESHOLDS = ("zero", "learned")
ACTIVATIONS = ("none", "relu", "prelu", "rprelu")
DOWNSAMPLES = ("pool", "stride")
SCALE_MAPS = ("none", "spatial")


@dataclass(frozen=True)
class ShortcutOptions:
    """What networks with a shortcut around each binary convolution do in different ways.

    Attributes
    ----------
    threshold
        Of the sign of inputs: ``"zero"``, or ``"learned"``, one a channel (RSign of ReActNet, arXiv:2003.03488). Where
        inputs are real there is none.
    activation
        Behind the sum: ``"none"`` (Bi-Real Net, arXiv:1808.00278; where inputs are real a ReLU stands there all the
        same, since without signs nothing else would be nonlinear), ``"relu"``, ``"prelu"`` with a slope a channel, or
        ``"rprelu"``, which also shifts before and behind it (ReActNet).
    downsample
        Of the shortcut where the map is halved: ``"pool"``, a mean of 2×2 pixels before the real 1×1 convolution, or
        ``"stride"``, the convolution alone with stride 2 (type B of arXiv:1512.03385).
    scale_map
        ``"spatial"`` multiplies the map of each binary convolution by learned factors of its channels, rows and columns
        (XNOR-Net++, arXiv:1909.13863), ``"none"`` does not.
    first_bits
        Bits of the inputs of binary convolutions in the first stage, 1 to 8. A stage ends before the next block that
        halves the map. Where inputs are real it means nothing.

    Raises
    ------
    ValueError
        On construction, for words and numbers that there are not.
    """

    threshold: str = "zero"
    activation: str = "none"
    downsample: str = "pool"
    scale_map: str = "none"
    first_bits: int = 1

    def __post_init__(self) -> None:
        check_word("threshold", self.threshold, THRESHOLDS)
        check_word("activation", self.activation, ACTIVATIONS)
        check_word("downsample", self.downsample, DOWNSAMPLES)
        check_word("scale_map", self.scale_map, SCALE_MAPS)
        check_word("first_bits", self.first_bits, range(1, 9))


class ShortcutBlocks:
    """Builds blocks ``activation(BatchNorm(conv(sign(x + threshold))) + shortcut(x))`` one after the other.

    The sign is taken inside the convolution. Where inputs are real (modes ``float``, ``bwn`` and ``binaryconnect``) the
    block is ``activation(BatchNorm(conv(x)) + shortcut(x))``.

    Parameters
    ----------
    blocks
        Builds the layers of the mode.
    options
        Of the blocks.
    channels, size
        Of the map that enters the first block: channels, and (rows, columns).

    Raises
    ------
    ValueError
        For the order cbap of binary layers, since these blocks have their own, and for several bits with real weights
        or rounded gradients.
    """

    def __init__(self, blocks: Blocks, options: ShortcutOptions, channels: int, size: tuple[int, int]) -> None:
        if blocks.options.order != "bacp":
            raise ValueError("blocks with a shortcut around each convolution have their own order: leave order out")
        if blocks.real_weights and options.first_bits > 1:
            raise ValueError("first_bits above 1 needs binary weights: real weights take signs only")
        gradient = blocks.options.binary_gradient
        if blocks.binary_input and options.first_bits > 1 and gradient != "off":
            raise ValueError(f"binary_gradient {gradient} needs inputs of 1 bit, got first_bits {options.first_bits}")
        self.blocks, self.options, self.channels, self.size = blocks, options, channels, size
        self._stage = 0

    def add(self, name: str, channels: int, *, halve: bool = False) -> list[Named]:
        """The next block: a 3×3 convolution to ``channels``; ``halve``: rows and columns become half, rounded up."""
        before, size = self.channels, self.size
        self.channels = channels
        self._stage += halve or not self._stage  # the first block begins a stage even where it does not halve
        if halve:
            self.size = -(-size[0] // 2), -(-size[1] // 2)
        bits = self.options.first_bits if self._stage == 1 and self.options.first_bits > 1 else None
        body: list[Named] = []
        if self.blocks.binary_input and self.options.threshold == "learned":
            body.append(("threshold", Shift(before)))
        body.append(("conv", self.blocks.conv_layer(before, channels, 3, 1 + halve, 1, act_bits=bits)))
        if self.options.scale_map == "spatial":
            body.append(("scale", SpatialScale(*self.size, channels)))
        body.append(("norm", BatchNorm(channels)))
        shortcut = self._shortcut(before, size) if halve or channels != before else None
        return [(name, Residual(Sequential(*body), shortcut)), *self._activation(name)]

    def _shortcut(self, before: int, size: tuple[int, int]) -> Module:
        """The real way around a convolution that changes the size of the map or its channels."""
        halve = size != self.size
        pooled = halve and self.options.downsample == "pool"
        conv = Conv2d(before, self.channels, 1, 2 if halve and not pooled else 1, rng=self.blocks.rng)
        row: list[Named] = [("conv", conv), ("norm", BatchNorm(self.channels))]
        if pooled:
            # An odd side is halved by windows of 3 that reach one pixel over the border, so that it rounds up.
            odd = size[0] % 2, size[1] % 2
            row.insert(0, ("pool", AvgPool2d((2 + odd[0], 2 + odd[1]), 2, odd)))
        return Sequential(*row)

    def _activation(self, name: str) -> list[Named]:
        kind = self.options.activation
        if kind == "none":
            return [] if self.blocks.binary_input else [(f"{name}_relu", ReLU())]
        if kind == "relu":
            return [(f"{name}_relu", ReLU())]
        if kind == "prelu":
            return [(f"{name}_prelu", PReLU(self.channels))]
        return [(f"{name}_rprelu", RPReLU(self.channels))]
