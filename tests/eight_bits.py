"""Graphs in eight bits for tests: real layers of any graph get random whole weights, whatever they computed before."""

from dataclasses import replace

import numpy as np

from binnet import graph as g
from binnet import models
from binnet.graph import BwnConv, Conv, Graph, Int8BwnConv, Int8Conv, QuantiseLinear

SAME = 1 << 20  # below, multiples of 1/8 and their sums are exact in float32


def in_eight_bits(graph, rng, *, pixels=True, exact=False, shared=False):
    """The graph with Int8Conv and Int8BwnConv for the Conv and BwnConv without groups.

    With ``pixels`` the images are uint8, and real layers read them as they are. ``exact``: all numbers that are made
    are multiples of 1/4. With ``shared`` all layers that read one map share one QuantiseLinear.
    """
    nodes, made = [replace(graph.input, pixels=pixels)], {}
    for node in graph.nodes[1:]:
        if not isinstance(node, Conv | BwnConv) or getattr(node, "groups", 1) > 1:
            nodes.append(node)
            continue
        (source,) = node.inputs
        zero = int(rng.choice([0, 0, 7, 128]))
        if not (pixels and source == graph.input.name):
            key = source if shared else node.name
            if key not in made:
                step = float(np.float32(rng.choice([0.5, 1, 2]) if exact else rng.uniform(0.01, 0.1)))
                made[key] = QuantiseLinear(f"{node.name} in bytes", (source,), step, zero)
                nodes.append(made[key])
            source, zero = made[key].name, made[key].zero
        nodes.append(layer(node, source, zero, rng, exact))
    return Graph(tuple(nodes))


def layer(node, source, zero, rng, exact):
    """The layer in eight bits in the place of ``node``; its weights depend on the number of weights alone."""
    o, n = node.shape[0], int(np.prod(node.shape[1:]))
    scale = rng.choice([0.25, 1], o) if exact else rng.uniform(0.5, 2, o) / (74 * 73 * n**0.5)
    bias = rng.choice([-1, 0, 0.5], o) if exact else rng.standard_normal(o)
    shared = {"zero": np.full(1, zero, np.float32), "bias": np.float32(bias)}
    where = (node.name, (source,), node.shape, node.stride, node.padding)
    if isinstance(node, BwnConv):
        alpha = None if node.alpha is None else np.float32(scale * rng.choice([-1, 1], o))
        return Int8BwnConv(*where, signs=node.signs, alpha=alpha, **shared)
    weight = rng.choice([-1, 0, 0, 1] if exact else np.arange(-127, 128), node.shape).astype(np.int8)
    return Int8Conv(*where, weight=weight, scale=np.float32(scale), **shared)


def pixels(shape, n=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def network(name, mode="xnor", size=33, pixels=True, **options):
    graph = g.trace(models.build(name, mode, 5, image_size=size, **options), (size, size, 3))
    return in_eight_bits(graph, np.random.default_rng(0), pixels=pixels)


def chain(*nodes, size=(9, 9, 3)):
    """A graph of nodes in a row; each is a function of the names of itself and of the node before."""
    made = [g.Input("x", (), size, pixels=True)]
    for number, node in enumerate(nodes):
        made.append(node(f"n{number}", (made[-1].name,)))
    return g.Graph(tuple(made))


def conv(o=8, c=3, stride=(1, 1), padding=(1, 1, 1, 1), size=3, seed=0, **other):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (o, size, size, c), dtype=np.int8)
    vectors = {"scale": rng.uniform(1e-4, 1e-3, o).astype(np.float32), "zero": np.full(1, 5, np.float32)}
    vectors |= {"bias": rng.standard_normal(o).astype(np.float32)} | other
    return lambda name, inputs: g.Int8Conv(name, inputs, weight.shape, stride, padding, weight=weight, **vectors)


def pool(size=3, stride=2, padding=1):
    return lambda name, inputs: g.MaxPool(name, inputs, (size, size), (stride, stride), (padding,) * 4)


def norm(factor, c=8):
    factor, number = np.full(c, factor, np.float32), np.linspace(-1, 1, c, dtype=np.float32)
    return lambda name, inputs: g.BatchNorm(name, inputs, number, factor, number[::-1].copy())


def xnor(c=8, o=9, seed=0):
    signs = np.zeros(-(-o * c * 9 // 64), np.uint64)
    signs[0] = 0x1234567890ABCDEF
    return lambda name, inputs: g.XnorConv(name, inputs, (o, 3, 3, c), (1, 1), (1, 1, 1, 1), signs=signs, alpha=None)


def dense(o, i, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (o, i), dtype=np.int8)
    vectors = {"scale": rng.uniform(1e-4, 1e-3, o).astype(np.float32), "zero": np.full(1, 9, np.float32)}
    return lambda name, inputs: g.Int8Conv(name, inputs, (o, i), (1, 1), (0,) * 4, weight=weight, **vectors)


def quantise(step=0.25, zero=9):
    return lambda name, inputs: g.QuantiseLinear(name, inputs, step, zero)
