"""Recognises operations that are one node together, as our own files write them: normalisation, and eight bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...graph.graph import Array
from .loading import Network, Operation

NORMALISE, QUANTISE = "Sub, Mul, Add", "Mul, Round, Add, Clip"
PATTERNS = {NORMALISE: ("Sub", "Mul", "Add"), QUANTISE: ("Mul", "Round", "Add", "Clip")}


def merged(network: Network) -> Network:
    """The network with one operation for each pattern, whose inputs are the value and the arrays of its parts."""
    readers: dict[str, list[Operation]] = {}
    for operation in network.operations:
        for name in operation.inputs:
            readers.setdefault(name, []).append(operation)
    gone, made = set[Operation](), dict[Operation, Operation]()
    for operation in network.operations:
        for kind, pattern in PATTERNS.items():
            chain = _chain(operation, pattern, readers)
            if chain and not gone.intersection(chain) and _fits(kind, chain, network.arrays):
                gone.update(chain)
                arrays = tuple(name for each in chain for name in each.inputs[1:])
                made[chain[-1]] = replace(chain[-1], kind=kind, inputs=(operation.inputs[0], *arrays))
    kept = (made.get(each, each) for each in network.operations if each in made or each not in gone)
    return replace(network, operations=tuple(kept))


def _chain(first: Operation, pattern: tuple[str, ...], readers: dict[str, list[Operation]]) -> list[Operation]:
    """The operations of a pattern that begin with this one, each the only reader of the one before; or none."""
    chain = [first]
    while chain[-1].kind == pattern[len(chain) - 1] and chain[-1].inputs:
        if len(chain) == len(pattern):
            return chain
        following = readers.get(chain[-1].outputs[0], [])
        if len(following) != 1 or following[0].inputs[:1] != chain[-1].outputs[:1]:
            break
        chain.append(following[0])
    return []


def _fits(kind: str, chain: list[Operation], arrays: dict[str, Array]) -> bool:
    """Whether all parts read an array of the file beside the value, and numbers are those of eight bits."""
    held = [arrays.get(name) for each in chain for name in each.inputs[1:]]
    if chain[0].inputs[0] in arrays or any(array is None for array in held):
        return False
    if kind == NORMALISE:
        return len(held) == 3
    numbers = [float(array.ravel()[0]) for array in held if array is not None and array.size == 1]
    if len(numbers) != 4 or not 0 < numbers[0] < np.inf or numbers[2:] != [0, 255]:
        return False
    return numbers[1] == int(np.clip(np.nan_to_num(numbers[1]), 0, 255))
