"""A network's forward pass: which operations it calls, and in which order it uses the network's arrays."""

from __future__ import annotations

import numpy as np

from ...autograd import Tensor
from ...graph.tracing import evaluating
from ...models import ModelSpec
from ...nn import Module, Parameter
from ...recording import Call, recording


def calls(network: Module, spec: ModelSpec) -> tuple[Tensor, list[Call]]:
    """Two random images, and the calls of operations for them in evaluation mode."""
    shape = (2, *spec.image_size, spec.in_channels)
    images = Tensor(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    with evaluating(network), recording() as found:
        network(images)
    return images, found


def positions(network: Module, spec: ModelSpec) -> dict[str, int]:
    """The number of the last call in a forward pass that uses each array together with the images, by name.

    A call without the images, such as that of a factor of the weights, prepares its parameters for a later one. A
    buffer has the number of the last parameter of its layer. Arrays that the pass does not use have -1.
    """
    images, made = calls(network, spec)
    mixed = {id(images)}  # tensors computed from the images
    prepared = {id(parameter): {id(parameter)} for parameter in network.parameters()}
    last: dict[int, int] = {}
    for number, call in enumerate(made):
        tensors = {id(value) for value in (*call.inputs, *call.options.values()) if isinstance(value, Tensor)}
        used: set[int] = set().union(*(prepared.get(tensor, set()) for tensor in tensors))
        if tensors & mixed:
            mixed.add(id(call.result))
            last |= dict.fromkeys(used, number)
        else:
            prepared[id(call.result)] = used
    found: dict[str, int] = {}
    for path, module in network.named_modules():
        prefix = f"{path}." if path else ""
        own = {name: last.get(id(value), -1) for name, value in vars(module).items() if isinstance(value, Parameter)}
        buffers = dict.fromkeys(module.buffer_names, max(own.values(), default=-1))
        found |= {prefix + name: number for name, number in (own | buffers).items()}
    return found


def in_order(network: Module, spec: ModelSpec) -> list[tuple[str, Module]]:
    """The layers with their paths, in the order of a forward pass.

    A layer is a module inside the network that has arrays or no other modules. One without parameters, such as dropout,
    comes behind the one that was set before it. Layers that the pass does not use, and those without parameters that
    were set before all others, are the last.
    """
    used = positions(network, spec)
    found, end = [], len(used) + max(used.values(), default=0)
    number = end
    for path, module in network.named_modules():
        own = [used[name] for name in used if name.rpartition(".")[0] == path]
        has_parameters = any(isinstance(value, Parameter) for value in vars(module).values())
        if not path or not (own or not any(True for _ in module.children())):
            continue
        if has_parameters and max(own) < 0:
            found.append((end, path, module))
            continue
        number = max(own) if has_parameters else number
        found.append((number, path, module))
    # The sort keeps layers whose arrays are used in the same call in the order in which they were set.
    return [(path, module) for _, path, module in sorted(found, key=lambda each: each[0])]


def classifier(network: Module, spec: ModelSpec) -> set[str]:
    """Names of the classifier's arrays: the last weight with at least two axes, and what is used with or after it."""
    used, state = positions(network, spec), network.state_dict()
    matrices = [name for name in used if name in state and state[name].ndim >= 2]
    if not matrices:
        return set()
    # Weights have the same number in a pass that leaves binnet's operations: the one that was set last counts then.
    last = max(reversed(matrices), key=lambda name: used[name])

    def belongs(name: str) -> bool:
        same_layer = name.rpartition(".")[0] == last.rpartition(".")[0]
        return used[name] > used[last] or (used[name] == used[last] and same_layer)

    return {name for name in used if belongs(name)}
