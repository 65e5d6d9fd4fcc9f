"""How partial sums of gradients travel between workers: as they are, or in few bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels.checks import Float
from binnet_kernels.tree import Node

Array = npt.NDArray[Any]


class Floats:
    """Partial sums of the gradient of one weight (O, ...), sent as they are."""

    def layout(self, shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], npt.DTypeLike]]:
        """Shapes and dtypes of what is sent for one filter, whose weights have ``shape``."""
        return [(shape, np.float32)]

    def encode(self, node: Node, grad: Float) -> tuple[Array, ...]:
        """What is sent of the partial sum (O, ...) of a node, arrays with an axis of O filters first."""
        return (grad,)

    def decode(self, parts: Sequence[Array], shape: tuple[int, ...]) -> Float:
        """The gradient (rows, \\*shape) that rows of what was sent stand for; it may be changed."""
        rows: Float = parts[0]
        return rows


class Rounded(Floats):
    """The same in few bits, with error feedback: what rounding leaves over joins the next partial sum of the node.

    Every partial sum is rounded, also where its owner needs it itself. So gradients depend on how nodes are divided
    among workers; the paper knows nothing of this. What is left over is not stored: a resumed training begins with 0.

    Parameters
    ----------
    bits
        For each weight, see :func:`binnet_kernels.compress_gradient`.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._errors: dict[Node, Float] = {}

    def layout(self, shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], npt.DTypeLike]]:
        return [((self._bits, -(-int(np.prod(shape)) // 64)), np.uint64), ((), np.float32)]

    def encode(self, node: Node, grad: Float) -> tuple[Array, ...]:
        error = self._errors.get(node)
        if error is None or error.shape != grad.shape:  # a custom network may use other weights in each step
            error = self._errors[node] = np.zeros(grad.shape, np.float32)
        return bk.compress_gradient(grad, error, self._bits)

    def decode(self, parts: Sequence[Array], shape: tuple[int, ...]) -> Float:
        packed, unit = parts
        return bk.expand_gradient(packed, unit, np.empty((len(packed), *shape), np.float32))


FLOATS = Floats()
