"""Neighbours in a sequence that run as one function: the same bits, fewer maps in memory (ADR 0020).

Layers stay what they are: their names, parameters and packed steps do not know of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..tensor import Tensor
from .binary import BinConv2d, BinLinear
from .layers import BatchNorm, Flatten, ReLU
from .module import Module


def joined(modules: Iterable[Module]) -> Iterator[Callable[[Tensor], Tensor]]:
    """The calls that a sequence of modules comes to, in order.

    Where they stand side by side, these become one call: "BatchNorm, [Flatten,] BinConv2d or BinLinear, [ReLU]", with
    options that leave nothing but signs of the normalised map to know (no K, clipped straight-through gradient), and
    "BatchNorm, ReLU". A module with a ``forward`` of its own, set on the object, is always called by itself.
    """
    rest = deque(modules)
    while rest:
        yield _sign_block(rest) or _norm_relu(rest) or rest.popleft()


@dataclass(frozen=True)
class SignBlock:
    """Normalisation, binary layer and ReLU as one call, which is also how the paper's figure 3 draws them."""

    norm: BatchNorm
    layer: BinConv2d | BinLinear
    flat: bool
    relu: bool

    def __call__(self, x: Tensor) -> Tensor:
        self.norm.check(x)
        with self.layer.naming_errors():
            return self.layer.after_norm(x, self.norm, flat=self.flat, relu=self.relu)


@dataclass(frozen=True)
class NormRelu:
    """Normalisation and ReLU as one call."""

    norm: BatchNorm

    def __call__(self, x: Tensor) -> Tensor:
        with self.norm.naming_errors():
            return self.norm.forward(x, relu=True)


def _sign_block(rest: deque[Module]) -> SignBlock | None:
    """The block that ``rest`` begins with, taken out of it."""
    flat = _is(rest, 1, Flatten)
    layer = rest[1 + flat] if len(rest) > 1 + flat else None
    found = _is(rest, 0, BatchNorm) and _is(rest, 1 + flat, BinLinear, *(() if flat else (BinConv2d,)))
    if not (found and isinstance(layer, BinConv2d | BinLinear) and layer.needs_signs_only):
        return None
    norm, relu = rest[0], _is(rest, 2 + flat, ReLU)
    assert isinstance(norm, BatchNorm)
    _drop(rest, 2 + flat + relu)
    return SignBlock(norm, layer, flat, relu)


def _norm_relu(rest: deque[Module]) -> NormRelu | None:
    norm = rest[0]
    if not (isinstance(norm, BatchNorm) and _is(rest, 0, BatchNorm) and _is(rest, 1, ReLU)):
        return None
    _drop(rest, 2)
    return NormRelu(norm)


def _is(rest: deque[Module], index: int, *kinds: type[Module]) -> bool:
    """Whether the module at ``index`` is of exactly one of these classes, with its forward."""
    return len(rest) > index and type(rest[index]) in kinds and "forward" not in vars(rest[index])


def _drop(rest: deque[Module], count: int) -> None:
    for _ in range(count):
        rest.popleft()
