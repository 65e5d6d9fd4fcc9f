"""Comparison of a graph with one that was made from it."""

from __future__ import annotations

from ..graph import BwnConv, Conv, Filters, Graph, Int8BwnConv, Int8Conv, Node

FROM = {Int8Conv: Conv, Int8BwnConv: BwnConv}


def difference_in_eight_bits(real: Graph, quantised: Graph) -> str:
    """The first layer of a graph in eight bits that cannot come from a real graph, in words; empty when there is none.

    Layers in eight bits are compared by kind and shape. All others must have the same settings and arrays.
    """
    layers = [node for node in quantised if isinstance(node, Filters)]
    names = [node.name for node in real if isinstance(node, Filters)]
    if names != [node.name for node in layers]:
        return f"{len(names)} layers in one, {len(layers)} others in the other"
    return next((f"{node.name} differs" for node in layers if not _may_become(real[node.name], node)), "")


def _may_become(real: Node, node: Filters) -> bool:
    assert isinstance(real, Filters)
    if (real.shape, real.stride) != (node.shape, node.stride):
        return False
    if type(node) in FROM:
        return type(real) is FROM[type(node)]
    ours, theirs = real.arrays(), node.arrays()
    same = real.kind == node.kind and real.settings() == node.settings() and ours.keys() == theirs.keys()
    return same and all(array.tobytes() == theirs[name].tobytes() for name, array in ours.items())
