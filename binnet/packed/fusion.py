"""Rules that join the nodes of a graph, so that fewer maps are written. None of them changes a bit of the result.

Each rule is a function of the graph; :func:`fuse` applies them in an order in which each finds what it looks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .graph import Graph, Map, Node
from .steps import Add, BatchNorm, BwnConv, Conv, ElementWise, Flatten, KbitConv, MaxPool, Sign, Step, XnorConv
from .thresholds import Apply, cut, is_rising, limits

EXACT = 1 << 24  # whole numbers below are exact in float32


def fuse(graph: Graph) -> Graph:
    """Apply all rules."""
    for rule in (_look_back, _compare_dots, _grow_tails, _write_bits):
        rule(graph)
    return graph


# ---------------------------------------------------------------------------------------------- signs


def _look_back(graph: Graph) -> None:
    """A binary convolution takes in the element-wise steps before its sign, and the flattening before a dense layer."""
    for node in [node for node in graph.nodes if _takes_bits(node)]:
        source = node.inputs[0]
        while graph.only_user(source, node) and isinstance(source.step, (ElementWise, Flatten)):
            if isinstance(source.step, Sign) and node.seen:
                break  # a sign makes +1 of NaN, which may come out negative, but NaN lies in no interval
            if isinstance(source.step, Flatten):
                if node.flat or node.seen or not _is_dense(node) or _channels(source.inputs[0]) is None:
                    break
                node.flat = True
            else:
                node.seen.insert(0, source.step)
            graph.replace(source, source.inputs[0])
            source = node.inputs[0]


def _compare_dots(graph: Graph) -> None:
    """Between two binary convolutions whole numbers are compared and bits are written: no scale, no float, no map.

    Normalisation, ReLU, sign and scale are monotone in the dot product d, so all of them together, and the next sign,
    are one comparison with a threshold. A max-pooling between them becomes AND over bits ``d <= most``, which says it
    of the largest d of a window; where the steps before the pooling fall, it is the smallest d that counts, and the
    bits are turned round before and after.
    """
    for node in [node for node in graph.nodes if _takes_bits(node)]:
        pool, before, source = _chain_before(graph, node)
        if source is None or not isinstance(source.step, XnorConv):
            continue
        o, n = source.step.shape[0], int(np.prod(source.step.shape[1:]))
        first = [_scale(source.step), *_apply(before)]
        threshold = cut([*first, *_apply(node.seen)], n, o) if n < EXACT and _fits(node.seen, o) else None
        if threshold is None:
            continue
        falling = np.zeros(o, bool) if pool is None else ~is_rising(first, n, o)
        source.most, after = threshold.most, ~threshold.below ^ falling
        source.flips = after if pool is None else falling
        source.bits_for, source.floats = (node, False) if pool is None else (pool, False)
        if pool is not None:
            pool.flips, pool.bits_for, pool.floats = after, node, False
        _drop(graph, node.inputs[0] if pool is None else pool.inputs[0], source)
        node.seen = []


def _chain_before(graph: Graph, node: Node) -> tuple[Node | None, list[ElementWise], Node | None]:
    """The pooling, the steps before it and the binary convolution that a binary convolution alone reads from."""
    pool, before, source = None, list[ElementWise](), node.inputs[0]
    user = node
    if isinstance(source.step, MaxPool) and graph.only_user(source, node):
        pool, user, source = source, source, source.inputs[0]
        while isinstance(source.step, ElementWise) and graph.only_user(source, user):
            before.insert(0, source.step)
            user, source = source, source.inputs[0]
    found = _takes_bits(source) and graph.only_user(source, user)
    return pool, before, source if found else None


def _drop(graph: Graph, last: Node, source: Node) -> None:
    """Take out the nodes from ``last`` back to ``source``."""
    while last is not source:
        graph.replace(last, last.inputs[0])
        last = last.inputs[0]


# ---------------------------------------------------------------------------------------------- tails


def _grow_tails(graph: Graph) -> None:
    """Element-wise steps and residual sums go into the tail of the node before, or into a pass of their own."""
    for node in list(graph.nodes):
        if not isinstance(node.step, (ElementWise, Add)):
            continue
        source = node.inputs[0]
        adds = isinstance(node.step, Add)
        ready = not adds or (source.residual is None and _comes_before(graph, node.inputs[1], source))
        if not (_has_tail(source) and graph.only_user(source, node) and ready):
            source = Node(Map(node.name), [source])
            graph.insert_before(node, source)
        source.tail.append(node.step)
        if adds:
            source.residual = node.inputs[1]
        graph.replace(node, source)


def _comes_before(graph: Graph, first: Node, second: Node) -> bool:
    return graph.nodes.index(first) < graph.nodes.index(second)


def _write_bits(graph: Graph) -> None:
    """Whoever writes a map that a binary convolution reads packs its signs in the same pass."""
    for node in [node for node in graph.nodes if _takes_bits(node)]:
        source = node.inputs[0]
        if source.bits_for is node:
            continue
        if not _has_tail(source) or source.bits_for is not None:
            source = Node(Map(f"{node.name} (packing)"), [source])
            graph.insert_before(node, source)
            node.inputs = [source]
        c = _channels_seen(node) if node.flat else _inner(node.step)
        source.bits_for, source.limits = node, limits(_apply(node.seen), c)
        source.floats = not graph.only_user(source, node)
        node.seen = []


# ---------------------------------------------------------------------------------------------- what nodes are


def _takes_bits(node: Node) -> bool:
    """Whether signs are all that it needs of its input: K would need the values."""
    return isinstance(node.step, XnorConv) and not node.step.use_k


def _has_tail(node: Node) -> bool:
    return isinstance(node.step, (Conv, BwnConv, XnorConv, KbitConv, MaxPool, Map)) and node.bits_for is None


def _is_dense(node: Node) -> bool:
    return isinstance(node.step, XnorConv) and len(node.step.shape) == 2


def _channels(node: Node) -> int | None:
    """The last axis of the node's map; None where it depends on the size of the images."""
    for step in (*reversed(node.tail), node.step):
        if isinstance(step, BatchNorm):
            return len(step.mean)
        if isinstance(step, (Conv, BwnConv, XnorConv, KbitConv)):
            return step.shape[0]
    return _channels(node.inputs[0]) if node.inputs and not isinstance(node.step, Flatten) else None


def _channels_seen(node: Node) -> int:
    """The channels of the image that a flat dense layer reads: those of its normalisation, or of its source."""
    normalised = [len(step.mean) for step in node.seen if isinstance(step, BatchNorm)]
    channels = normalised[0] if normalised else _channels(node.inputs[0])
    assert channels is not None  # a layer becomes flat only where they are known
    return channels


def _fits(steps: Sequence[Step], c: int) -> bool:
    return all(len(step.mean) == c for step in steps if isinstance(step, BatchNorm))


def _apply(steps: Sequence[ElementWise]) -> list[Apply]:
    return [step.apply for step in steps]


def _scale(step: XnorConv) -> Apply:
    alpha = step.alpha
    return (lambda d: d) if alpha is None else (lambda d: d * alpha)


def _inner(step: Step) -> int:
    """The channels that a convolution reads."""
    assert isinstance(step, XnorConv)
    return step.shape[-1]
