"""A network's forward pass: which operations it calls, and in which order it uses the network's arrays."""

from __future__ import annotations

import numpy as np

from ...autograd import Tensor
from ...graph.tracing import evaluating
from ...models import ModelSpec
from ...nn import Module, Parameter
from ...recording import Call, recording


def calls(network: Module, spec: ModelSpec) -> list[Call]:
    """The calls of operations for two random images in evaluation mode."""
    shape = (2, *spec.image_size, spec.in_channels)
    images = Tensor(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    with evaluating(network), recording() as found:
        network(images)
    return found


def positions(network: Module, spec: ModelSpec) -> dict[str, int]:
    """The number of the last call in a forward pass that uses each array, by name.

    A buffer has that of the last parameter of its layer. Arrays that the pass does not use have -1.
    """
    last: dict[int, int] = {}
    for number, call in enumerate(calls(network, spec)):
        tensors = (value for value in (*call.inputs, *call.options.values()) if isinstance(value, Tensor))
        last |= dict.fromkeys(map(id, tensors), number)
    found: dict[str, int] = {}
    for path, module in network.named_modules():
        prefix = f"{path}." if path else ""
        own = {name: last.get(id(value), -1) for name, value in vars(module).items() if isinstance(value, Parameter)}
        buffers = dict.fromkeys(module.buffer_names, max(own.values(), default=-1))
        found |= {prefix + name: number for name, number in (own | buffers).items()}
    return found


def in_order(network: Module, spec: ModelSpec) -> list[tuple[str, Module]]:
    """The layers with their paths, in the order of a forward pass.

    A layer is a module inside the network that has arrays or no other modules. One whose arrays the pass does not use,
    or that has none, such as dropout, comes behind the one that was set before it.
    """
    used = positions(network, spec)
    found, number = [], -1
    for path, module in network.named_modules():
        own = [used[name] for name in used if name.rpartition(".")[0] == path]
        if path and (own or not any(True for _ in module.children())):
            number = max(own, default=-1) if max(own, default=-1) >= 0 else number
            found.append((number, path, module))
    # The sort keeps layers whose arrays are used in the same call in the order in which they were set.
    return [(path, module) for _, path, module in sorted(found, key=lambda each: each[0])]


def classifier(network: Module, spec: ModelSpec) -> set[str]:
    """Names of the classifier's arrays: the last weight with at least two axes, and what is used with or after it."""
    used, state = positions(network, spec), network.state_dict()
    matrices = [name for name, number in used.items() if number >= 0 and name in state and state[name].ndim >= 2]
    if not matrices:
        return set()
    last = max(matrices, key=lambda name: used[name])

    def belongs(name: str) -> bool:
        same_layer = name.rpartition(".")[0] == last.rpartition(".")[0]
        return used[name] > used[last] or (used[name] == used[last] and same_layer)

    return {name for name in used if belongs(name)}
