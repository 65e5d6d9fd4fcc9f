"""Rewrites of convolutions in eight bits, which read whole numbers and pool their sums before they write anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import ElementWise, MaxPool, Node, QuantiseLinear
from ..graph.graph import Float
from ..graph.int8 import Int8
from .stages import Stage, Stages

LARGEST = 1 << 33  # above a sum of 32 bits and the zeros under its window together


def absorb_quantise(stages: Stages) -> None:
    """A convolution in eight bits makes the whole numbers that it reads, without a map of them in between.

    ::

        map → QuantiseLinear → Int8Conv   ⇒   map → Int8Conv(quantise)
                            ↘ Int8Conv             ↘ Int8Conv(quantise)
    """
    for stage in stages.stages:
        readers = stages.users(stage)
        # Any other reader needs the numbers as floats, and then a convolution takes them from there.
        only = stage is not stages.result and all(isinstance(each.node, Int8) for each in readers)
        if isinstance(stage.node, QuantiseLinear) and only:
            for each in readers:
                each.quantise = stage.node
            stages.replace(stage, stage.inputs[0])


def pool_in_convolution(stages: Stages) -> None:
    """A convolution in eight bits pools its own sums; element-wise nodes in front of the pooling come after it.

    ::

        Int8Conv → ReLU → MaxPool → BatchNorm   ⇒   Int8Conv(pool) → ReLU → BatchNorm

    The largest value of a window stays the largest under a function that never falls, in float32 too. NaN would break
    this, but sums of whole numbers are finite, and so is all that follows from them here.
    """
    for pool in [stage for stage in stages.stages if isinstance(stage.node, MaxPool)]:
        assert isinstance(pool.node, MaxPool)
        chain, user, source = list[Node](), pool, pool.inputs[0]
        while isinstance(source.node, ElementWise) and source.node.monotone and stages.only_user(source, user):
            chain.insert(0, source.node)
            user, source = source, source.inputs[0]
        if _can_pool(source) and stages.only_user(source, user) and _rises(source.node, chain):
            source.pool = pool.node
            stages.replace(pool, pool.inputs[0])


def _can_pool(stage: Stage) -> bool:
    return isinstance(stage.node, Int8) and stage.pool is None


def _rises(node: Node, chain: Sequence[Node]) -> bool:
    """Whether monotone nodes after a convolution never fall as a whole, and give finite numbers, in all channels."""
    assert isinstance(node, Int8)
    with np.errstate(all="ignore"):
        most: Float = np.abs(node.factors) * np.float32(LARGEST) + (0 if node.bias is None else np.abs(node.bias))
        # Each step is monotone: what is finite at both ends is finite between them.
        low, high = -most, most
        finite = bool(np.isfinite(most).all())
        for each in chain:
            low, high = each.compute(low), each.compute(high)
            finite = finite and bool(np.isfinite([low, high]).all())
    return finite and bool((low <= high).all())
