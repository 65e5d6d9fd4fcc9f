"""Rewrites that join the stages of a graph, so that fewer maps are written. None of them changes a bit of the result.

Each rewrite is a function of the stages with a picture of what it does; :func:`fuse` applies them in an order in which
each finds what it looks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..graph import (
    Add,
    BatchNorm,
    BwnConv,
    Conv,
    ElementWise,
    Flatten,
    Input,
    Int8BwnConv,
    Int8Conv,
    KbitConv,
    MaxPool,
    Pad,
    PRelu,
    Relu,
    Scale,
    Shift,
    Sign,
    XnorConv,
)
from ..graph.graph import MOST_PADDING, Four, Shape
from .int8_rewrites import absorb_quantise, pool_in_convolution
from .stages import Identity, Stage, Stages
from .thresholds import Apply, cut, is_rising, limits

# What the kernels compute behind a sum; exactly these classes, as a subclass may compute something else.
IN_EPILOGUE = (BatchNorm, PRelu, Relu, Scale, Shift, Sign)
EXACT = 1 << 24  # whole numbers below are exact in float32


def fuse(stages: Stages) -> Stages:
    """Apply all rewrites."""
    for rewrite in REWRITES:
        rewrite(stages)
    return stages


def absorb_padding(stages: Stages) -> None:
    """A real convolution takes over a border of zeros in front of it.

    ::

        Pad(0) → Conv(padding p)   ⇒   Conv(padding p + border)
    """
    for stage in stages.stages:
        node = stage.node
        if not isinstance(node, Conv | BwnConv) or node.is_dense:
            continue
        source = stage.inputs[0]
        if stages.only_user(source, stage) and isinstance(source.node, Pad) and source.node.value == 0:
            # Both borders are zeros, so they add up; one of another value would not.
            top, bottom, left, right = (a + b for a, b in zip(node.padding, source.node.padding, strict=True))
            padding: Four = (top, bottom, left, right)
            # The node itself refuses a larger border.
            if max(padding) <= MOST_PADDING:
                stage.node = replace(node, padding=padding)
                stages.replace(source, source.inputs[0])


def look_back(stages: Stages) -> None:
    """A binary convolution absorbs the element-wise nodes before its sign, and the flattening before a dense layer.

    ::

        map → BatchNorm → [ReLU] → XnorConv   ⇒   map → XnorConv(before_sign = BatchNorm, ReLU)
        map → Flatten → XnorConv (dense)      ⇒   map → XnorConv(flat)
    """
    shapes = stages.shapes_for(_own_size(stages))
    for stage in [stage for stage in stages.stages if _takes_bits(stage)]:
        source = stage.inputs[0]
        while stages.only_user(source, stage) and isinstance(source.node, (ElementWise, Flatten)):
            node = source.node
            if isinstance(node, Flatten):
                # Nodes after the flattening have parameters for H W C columns, nodes before it for C channels:
                # `before_sign` must not mix them.
                if stage.flat or stage.before_sign or not _is_dense(stage) or len(shapes[source.inputs[0]]) != 3:
                    break
                stage.flat = True
            elif not node.monotone or (isinstance(node, Sign) and stage.before_sign):
                break  # Sign turns NaN into +1, which later nodes may make negative; no threshold expresses this
            else:
                stage.before_sign.insert(0, node)
            stages.replace(source, source.inputs[0])
            source = stage.inputs[0]


def compare_dots(stages: Stages) -> None:
    """Between two binary convolutions whole numbers are compared and bits are written: no scale, no float, no map.

    ::

        XnorConv → α → BatchNorm → ReLU → sign → XnorConv   ⇒   XnorConv(bit = d <= most) → XnorConv
        XnorConv → α → MaxPool → BatchNorm → sign → XnorConv   ⇒   XnorConv(bit) → AND over windows → XnorConv

    Normalisation, ReLU, sign and scale are monotone in the dot product d, so all of them together, and the next sign,
    are one comparison with a threshold. All bits ``d <= most`` of a window are 1 exactly if its largest d is at most
    ``most``: so a max-pooling between them becomes AND. If the nodes before the pooling decrease with d, the smallest d
    decides, so the bits are inverted before and after.
    """
    for stage in [stage for stage in stages.stages if _takes_bits(stage)]:
        pool, before, source = _chain_before(stages, stage)
        if source is None or not isinstance(source.node, XnorConv):
            continue
        o, n = source.node.shape[0], int(np.prod(source.node.shape[1:]))
        # The pooling compares α d, not d. Where α < 0 this decreases with d, so α is part of the chain whose direction
        # is tested.
        first = [_scale(source.node), *_apply(before)]
        threshold = cut([*first, *_apply(stage.before_sign)], n, o) if n < EXACT and _fits(stage, o) else None
        if threshold is None:
            continue
        falling = np.zeros(o, bool) if pool is None else ~is_rising(first, n, o)
        source.most, after = threshold.most, ~threshold.below ^ falling
        source.flips = after if pool is None else falling
        source.bits_for, source.floats = (stage, False) if pool is None else (pool, False)
        if pool is not None:
            pool.flips, pool.bits_for, pool.floats = after, stage, False
        _drop(stages, stage.inputs[0] if pool is None else pool.inputs[0], source)
        stage.before_sign = []


def grow_epilogues(stages: Stages) -> None:
    """Element-wise nodes and residual sums go into the epilogue of the stage before, or into a pass of their own.

    ::

        Conv → BatchNorm → ReLU   ⇒   Conv(epilogue = BatchNorm, ReLU)
        Conv ──→ Add              ⇒   Conv(epilogue = Add, residual = map)
        map ──↗
        Concatenate → BatchNorm   ⇒   Concatenate → Identity(epilogue = BatchNorm)
    """
    sizes, place = _sizes(stages), {stage: i for i, stage in enumerate(stages.stages)}
    for stage in stages.stages:
        adds = type(stage.node) is Add
        repeats = any(len({shapes[each] for each in stage.inputs}) > 1 for shapes in sizes)
        if not (adds or type(stage.node) in IN_EPILOGUE) or repeats:
            continue  # other functions, and a sum that repeats an axis, are computed by themselves
        *others, source = sorted(stage.inputs, key=lambda each: place[each])  # the one that comes last hosts the sum
        ready = not adds or (source.residual is None and others[0] is not source)
        if _has_epilogue(source) and stages.only_user(source, stage) and ready:
            source.epilogue.append(stage.node)
            if adds:
                stages.add(source, others[0])
            stages.replace(stage, source)
        else:
            # A map that something else reads as well must be written before the node is applied, so the node becomes
            # the epilogue of a pass of its own.
            stage.epilogue = [stage.node]
            stage.node = Identity(stage.name, (source.name,))
            stage.inputs, stage.residual = [source], others[0] if adds else None


def write_bits(stages: Stages) -> None:
    """A stage whose map a binary convolution reads packs the signs of its map in the same pass.

    ::

        Conv → map → sign → XnorConv           ⇒   Conv(bits) → XnorConv
        Concatenate → map → sign → XnorConv    ⇒   Concatenate → Identity(bits) → XnorConv
    """
    shapes, packing = stages.shapes_for(_own_size(stages)), dict[Stage, Stage]()
    for stage in [stage for stage in stages.stages if _takes_bits(stage)]:
        source = stage.inputs[0]
        if source.bits_for is stage:
            continue
        c = shapes[source][-1]
        if not _has_epilogue(source) or source.bits_for is not None:
            source = packing[stage] = Stage(Identity(f"{stage.name} (packing)", (source.name,)), [source])
            stage.inputs = [source]
        source.bits_for, source.limits = stage, limits(_apply(stage.before_sign), c)
        # Something else may need the values, such as a residual sum: then floats are written beside the bits.
        source.floats = stage not in packing and not stages.only_user(source, stage)
        stage.before_sign = []
    stages.insert_before(packing)


# The order matters. Pooling goes into convolutions first, since that moves element-wise nodes behind it. Then the nodes
# before a sign are collected, so that the next rewrite can make one comparison of them. Epilogues take the nodes that
# are left, and bits are packed from what an epilogue has finished.
REWRITES: tuple[Callable[[Stages], None], ...] = (
    absorb_padding,
    absorb_quantise,
    pool_in_convolution,
    look_back,
    compare_dots,
    grow_epilogues,
    write_bits,
)


# ---------------------------------------------------------------------------------------------- what stages are


def _takes_bits(stage: Stage) -> bool:
    """Whether a stage needs only the signs of its input. With K it needs the values."""
    return isinstance(stage.node, XnorConv) and not stage.node.use_k


def _has_epilogue(stage: Stage) -> bool:
    kinds = (Conv, BwnConv, XnorConv, KbitConv, Int8Conv, Int8BwnConv, MaxPool, Identity)
    return isinstance(stage.node, kinds) and stage.bits_for is None and not is_grouped(stage)


def is_grouped(stage: Stage) -> bool:
    """Whether a convolution has no fused kernel, because of its groups."""
    return isinstance(stage.node, Conv) and stage.node.groups > 1


def _is_dense(stage: Stage) -> bool:
    return isinstance(stage.node, XnorConv) and stage.node.is_dense


def _chain_before(stages: Stages, stage: Stage) -> tuple[Stage | None, list[ElementWise], Stage | None]:
    """Walk back from ``stage``: its max-pooling, the monotone nodes in front of that, and the stage they come from.

    The first is None if there is no pooling, and then there are no nodes. The last is None unless it is a binary
    convolution without K whose map nothing else reads.
    """
    pool, before, source = None, list[ElementWise](), stage.inputs[0]
    user = stage
    if isinstance(source.node, MaxPool) and stages.only_user(source, stage):
        pool, user, source = source, source, source.inputs[0]
        # A monotone node keeps the order of the values in a window, or reverses it; after any other the largest value
        # need not come from the largest or the smallest dot product.
        while isinstance(source.node, ElementWise) and source.node.monotone and stages.only_user(source, user):
            before.insert(0, source.node)
            user, source = source, source.inputs[0]
    found = _takes_bits(source) and stages.only_user(source, user)
    return pool, before, source if found else None


def _drop(stages: Stages, last: Stage, source: Stage) -> None:
    """Take out the stages from ``last`` back to ``source``."""
    while last is not source:
        stages.replace(last, last.inputs[0])
        last = last.inputs[0]


def _fits(stage: Stage, c: int) -> bool:
    return all(node.channels in (None, c) for node in stage.before_sign)


def _apply(nodes: Sequence[ElementWise]) -> list[Apply]:
    return [node.compute for node in nodes]


def _scale(node: XnorConv) -> Apply:
    alpha = node.alpha
    return (lambda d: d) if alpha is None else (lambda d: d * alpha)


def _sizes(stages: Stages) -> list[dict[Stage, Shape]]:
    """The shapes for images of the network's size and of twice that size, as two maps may have one shape by chance."""
    own = stages.images.node
    h, w, c = own.output()
    sizes = [stages.shapes_for((h, w, c))]
    if isinstance(own, Input) and own.any_size:
        with contextlib.suppress(ValueError):  # a graph that does not come from tracing may not take them
            sizes.append(stages.shapes_for((2 * h, 2 * w, c)))
    return sizes


def _own_size(stages: Stages) -> tuple[int, ...]:
    """The size of the images that the network was made for."""
    return stages.images.node.output()
