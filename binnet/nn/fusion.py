"""Neighbours in a sequence that run as one function: the same bits, fewer maps in memory (ADR 0020).

Layers stay what they are: their names, parameters and graphs do not know of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..autograd import Tensor
from ..context import state
from .binary import BinConv2d, BinLinear
from .layers import AvgPool2d, BatchNorm, Conv2d, Flatten, MaxPool2d, ReLU
from .module import Module


def fused(modules: Iterable[Module]) -> Iterator[Callable[[Tensor], Tensor]]:
    """The functions to call for a sequence of modules, in order.

    Three patterns of neighbours become one call:

    - BatchNorm, [Flatten,] BinConv2d or BinLinear, [ReLU]: only when both passes need no more than bits of the
      normalised map (no K, clipped straight-through gradient);
    - BatchNorm, ReLU;
    - Conv2d, BatchNorm, ReLU: only for an input that needs no gradient, such as images.

    A module whose ``forward`` was replaced on the object is always called by itself. While calls are recorded nothing
    is fused, so that each layer has its own call.
    """
    # A graph has a node for each layer; the engine fuses by rewrites of its own.
    if state.recorder is not None:
        yield from modules
        return
    rest = deque(modules)
    while rest:
        yield _sign_block(rest) or _norm_relu(rest) or _image_block(rest) or rest.popleft()


@dataclass(frozen=True)
class SignBlock:
    """Normalisation, binary layer and ReLU as one call, which is also how the paper's figure 3 draws them."""

    norm: BatchNorm
    layer: BinConv2d | BinLinear
    flat: bool
    relu: bool
    pooled: bool

    def __call__(self, x: Tensor) -> Tensor:
        self.norm.check(x)
        with self.layer.naming_errors():
            return self.layer.after_norm(x, self.norm, flat=self.flat, relu=self.relu, keep=not self.pooled)


@dataclass(frozen=True)
class NormRelu:
    """Normalisation and ReLU as one call."""

    norm: BatchNorm

    def __call__(self, x: Tensor) -> Tensor:
        with self.norm.naming_errors():
            return self.norm.forward(x, relu=True)


@dataclass(frozen=True)
class ImageBlock:
    """Real convolution, normalisation and ReLU: one call if the input needs no gradient (images), else two."""

    conv: Conv2d
    norm: BatchNorm

    def __call__(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            # The fused op computes its map again in the backward pass, and has no gradient for its input.
            return NormRelu(self.norm)(self.conv(x))
        self.conv.check(x)
        self.norm.expect((*x.shape[:3], len(self.conv.weight)), "N", "H", "W", len(self.norm.gamma))
        with self.conv.naming_errors():
            return self.conv.before_norm(x, self.norm)


def _sign_block(rest: deque[Module]) -> SignBlock | None:
    """Remove and return the sign block at the front of ``rest``; None if there is none."""
    # A flattening of images moves nothing in memory, so a dense layer behind it reads the same bits.
    flat = _is(rest, 1, Flatten)
    layer = rest[1 + flat] if len(rest) > 1 + flat else None
    found = _is(rest, 0, BatchNorm) and _is(rest, 1 + flat, BinLinear, *(() if flat else (BinConv2d,)))
    if not (found and isinstance(layer, BinConv2d | BinLinear) and layer.input_binariser.needs_bits_only):
        return None
    norm, relu = rest[0], _is(rest, 2 + flat, ReLU)
    assert isinstance(norm, BatchNorm)
    _drop(rest, 2 + flat + relu)
    return SignBlock(norm, layer, flat, relu, pooled=bool(rest) and isinstance(rest[0], MaxPool2d | AvgPool2d))


def _norm_relu(rest: deque[Module]) -> NormRelu | None:
    norm = rest[0]
    if not (isinstance(norm, BatchNorm) and _is(rest, 0, BatchNorm) and _is(rest, 1, ReLU)):
        return None
    _drop(rest, 2)
    return NormRelu(norm)


def _image_block(rest: deque[Module]) -> ImageBlock | None:
    if not (_is(rest, 0, Conv2d) and _is(rest, 1, BatchNorm) and _is(rest, 2, ReLU)):
        return None
    conv, norm = rest[0], rest[1]
    assert isinstance(conv, Conv2d)
    assert isinstance(norm, BatchNorm)
    # A bias or groups are rare before a normalisation, so such a convolution is not fused.
    if conv.bias is not None or conv.groups != 1:
        return None
    _drop(rest, 3)
    return ImageBlock(conv, norm)


def _is(rest: deque[Module], index: int, *kinds: type[Module]) -> bool:
    """Whether the module at ``index`` is of exactly one of these classes, with its forward."""
    # Not isinstance: a subclass may compute something else.
    return len(rest) > index and type(rest[index]) in kinds and "forward" not in vars(rest[index])


def _drop(rest: deque[Module], count: int) -> None:
    for _ in range(count):
        rest.popleft()
