"""Tracing of a module to its graph: the module runs in evaluation mode, and recorded calls of ops become nodes.

Together with ``tracer.py`` and ``converters.py`` this is the only part of ``binnet.graph`` that uses ops and modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..context import no_grad
from ..nn import Module
from ..recording import recording
from . import converters  # noqa: F401 # fills the table of the tracer
from .graph import Array, Float, Graph, Input, Shape
from .tracer import Known, Tracer


def trace(module: Module, input_shape: Shape) -> Graph:
    """The graph of a network in evaluation mode.

    The module runs twice on random images, with different images and batch sizes; both runs must give the same graph.
    The graph is marked as taking any size when images of twice the size give the same graph, and none of the other
    sizes tried gives a different one. The module's state is unchanged afterwards.

    Parameters
    ----------
    module
        Its ``forward`` takes images (N, H, W, C) and is made of layers and :mod:`binnet.ops`.
    input_shape : (H, W, C)

    Raises
    ------
    ValueError
        When there is no node for an op (the message names layer and op), and when the calls depend on the values of the
        images or on the batch size.
    """
    shape = _checked_shape(input_shape)
    # Two distributions and batch sizes, so that constants derived from the images differ between the runs.
    rng, known = np.random.default_rng(0), Known()
    with evaluating(module):
        first = _trace_once(module, 1 + rng.standard_normal((1, *shape), np.float32), known)
        second = _trace_once(module, 2 * rng.standard_normal((2, *shape), np.float32) - 2, known)
        difference = _difference(first, second)
        if difference:
            raise ValueError(
                f"{module.label} cannot be packed: what it computes depends on the values of the images or on the size "
                f"of the batch ({difference}); a packed network does the same for all images"
            )
        any_size = _takes_any_size(module, first, known)
    return Graph((Input(first.input.name, (), shape, any_size), *first.nodes[1:]))


def _checked_shape(input_shape: Any) -> tuple[int, int, int]:
    fits = isinstance(input_shape, tuple | list) and len(input_shape) == 3
    if not fits or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in input_shape):
        raise ValueError(f"input_shape must be (rows, columns, channels) of an image, got {input_shape!r}")
    h, w, c = input_shape
    return h, w, c


@contextmanager
def evaluating(module: Module) -> Iterator[None]:
    """Context manager in which the module is in evaluation mode and no gradient is recorded."""
    modes = [(each, each.training) for _, each in module.named_modules()]
    module.eval()
    try:
        with no_grad():
            yield
    finally:
        for each, training in modes:
            each.training = training


def _trace_once(module: Module, images: Float, known: Known) -> Graph:
    x = Tensor(images)
    tracer = Tracer(x, known)
    with recording() as calls:
        result = module(x)
    for call in calls:
        tracer.convert(call)
    return tracer.graph(module, result)


def _takes_any_size(module: Module, graph: Graph, known: Known) -> bool:
    """Whether images of twice the size give the same graph, and so do odd, oblong and smaller ones where they run."""
    h, w, c = graph.input.shape
    others = [(h + 1, w + 2), ((h + 1) // 2, (w + 1) // 2), (2, 3)]
    return _gives(module, (2 * h, 2 * w, c), graph, known) is True and all(
        _gives(module, (*size, c), graph, known) is not False for size in others
    )


def _gives(module: Module, shape: Shape, graph: Graph, known: Known) -> bool | None:
    """Whether images of a shape give this graph; None when they do not fit the module."""
    try:
        other = _trace_once(module, np.ones((1, *shape), np.float32), known)
    except (ValueError, TypeError, IndexError, RuntimeError, AssertionError):  # what a user's forward may raise
        return None
    return not _difference(graph, other)


def _difference(one: Graph, other: Graph) -> str:
    """The first difference between two graphs (without the images' size), in words; empty when there is none."""
    difference = one.difference(other)
    for a, b in [] if difference else zip(one.nodes[1:], other.nodes[1:], strict=True):
        arrays, others = a.arrays(), b.arrays()
        if arrays.keys() != others.keys() or not all(_same(arrays[name], others[name]) for name in arrays):
            return f"{a.name} has other constants"
    return difference


def _same(one: Array, other: Array) -> bool:
    return one is other or (one.shape == other.shape and np.array_equal(one, other, equal_nan=True))
