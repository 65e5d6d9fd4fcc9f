"""Exchange the weights of nodes. An engine keeps nodes without weights once it has prepared these for kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Filters
from ..graph.graph import Array


def with_weights(node: Filters, weights: Array) -> Filters:
    """The node with other weights."""
    changed: dict[str, Any] = {node.weights: weights}
    return replace(node, **changed)


def without_weights(node: Filters) -> Filters:
    """The node with an array of zeros in the place of its weights, which takes no memory."""
    # A view with strides of 0 has the shape of the weights and takes no memory.
    return with_weights(node, np.broadcast_to(node.held.dtype.type(0), node.held.shape))
