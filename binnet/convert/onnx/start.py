"""The input of a network: its shape, and the normalisation that our own files begin with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...graph.graph import Array
from ..report import ConversionError, Options
from .loading import Network, Operation

SAME = ("Identity", "Cast", "Div", "Sub", "Mul", "Add")  # operations that leave the axes


@dataclass(frozen=True)
class Start:
    """How a network begins.

    Attributes
    ----------
    name : str
        The value that is the images: the input, or the result of the normalisation.
    operations : list of Operation
        Those of the normalisation, which become ``mean`` and ``std`` of the model.
    shape : (H, W, C)
    axes : int
        Axes of an image in the file: 3, or 1 for rows of numbers.
    channels_last : bool
        Whether the images are (N, H, W, C) in the file.
    times : float
        What images scaled to [0, 1] are multiplied by, 255 where the network takes pixels.
    options : Options
        Those of the caller, with what the file says.
    """

    name: str
    operations: list[Operation]
    shape: tuple[int, int, int]
    axes: int
    channels_last: bool
    times: float
    options: Options


def start_of(network: Network, options: Options) -> Start:
    """How a network begins; ConversionError when the size of an image is unknown or does not fit."""
    chain = _chain(network)
    axes, last = len(network.shape) - 1, _channels_last(network)
    if axes not in (1, 3):
        raise ConversionError(f"its input has {axes + 1} axes, expected (N, C, H, W), (N, H, W, C) or (N, I)")
    shape = _shape(network.shape[1:], last, options)
    found, operations = _normalisation(network, chain) if network.pixels and last else (None, [])
    times = 1.0
    if found is not None:
        options = replace(options, mean=options.mean or found[0], std=options.std or found[1])
    elif network.pixels:
        options = replace(options, mean=options.mean or (0.0,), std=options.std or (1.0,))
        times = 255.0
    name = operations[-1].outputs[0] if operations else network.source
    names = options.class_names or _names(network)
    return Start(name, operations, shape, axes, last, times, replace(options, class_names=names))


def _chain(network: Network) -> list[Operation]:
    """The operations from the input on, as long as one value has one reader."""
    readers: dict[str, list[Operation]] = {}
    for operation in network.operations:
        for name in operation.inputs:
            readers.setdefault(name, []).append(operation)
    chain, name = list[Operation](), network.source
    while len(readers.get(name, ())) == 1:
        chain.append(readers[name][0])
        name = chain[-1].outputs[0]
    return chain


def _channels_last(network: Network) -> bool:
    """Whether the images are turned to (N, C, H, W) before anything reads their axes."""
    for operation in _chain(network):
        if operation.kind == "Transpose":
            return tuple(operation.attributes.get("perm", ())) == (0, 3, 1, 2)
        if operation.kind not in SAME:
            return False
    return False


def _shape(sizes: Sequence[int | None], last: bool, options: Options) -> tuple[int, int, int]:
    given: tuple[int | None, ...] = tuple(sizes)
    if len(given) == 1:
        given = (1, 1, given[0])
    elif not last:
        given = (given[1], given[2], given[0])
    wanted = options.input_shape or given
    if any(n is None for n in wanted):
        raise ConversionError("the file leaves the size of an image open; give rows, columns and channels")
    if any(n is not None and n != other for n, other in zip(given, wanted, strict=True)):
        raise ConversionError(f"the file takes images of {given}, not {wanted}")
    h, w, c = (int(n or 0) for n in wanted)
    return h, w, c


def _normalisation(
    network: Network, chain: list[Operation]
) -> tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, list[Operation]]:
    """Mean and std of a chain Cast, Div 255, Sub mean, Div std, and its operations; None when it begins otherwise."""
    four = chain[:4]
    if [each.kind for each in four] != ["Cast", "Div", "Sub", "Div"]:
        return None, []
    numbers = [_vector(network.arrays.get(each.inputs[1])) if len(each.inputs) == 2 else () for each in four[1:]]
    if numbers[0] != (255.0,) or not numbers[1] or len(numbers[1]) != len(numbers[2]) or min(numbers[2]) <= 0:
        return None, []
    return (numbers[1], numbers[2]), four


def _vector(array: Array | None) -> tuple[float, ...]:
    flat: Any = () if array is None or array.size > 1 << 10 else np.float32(array.ravel())
    # Shortened as Python writes them, so that 0.45 is not 0.44999998807907104.
    return tuple(float(str(n)) for n in flat)


def _names(network: Network) -> tuple[str, ...]:
    """Names of classes, as our own files hold them."""
    try:
        found = json.loads(network.facts.get("class_names", "[]"))
    except (ValueError, RecursionError):
        return ()
    fits = isinstance(found, list) and all(isinstance(name, str) and name.isprintable() for name in found)
    return tuple(found) if fits else ()
