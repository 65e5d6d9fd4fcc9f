"""Operations that move numbers: Transpose, Flatten, Reshape, Concat, Pad."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...graph import Concatenate
from ...graph.graph import MOST_PADDING
from .part import Part, Value


def transpose(part: Part) -> Value:
    """An order of axes; nothing is moved, since a node's maps keep their own order."""
    value = part.raw()
    count = len(value.axes) + 1
    perm = part.attribute("perm", tuple(reversed(range(count))))
    if sorted(perm) != list(range(count)) or perm[0] != 0:
        raise part.refuse(f"has perm {perm}, expected one of {count} axes that leaves the first in place")
    return replace(value, axes=tuple(value.axes[n - 1] for n in perm[1:]))


def flatten(part: Part) -> Value:
    """(N, ...) to (N, I)."""
    value = part.value()
    axis = part.attribute("axis", 1)
    if axis not in (1, -len(value.axes)):
        raise part.refuse(f"has axis {axis}, expected 1")
    return part.reshaped(value, (value.size,))


def reshape(part: Part) -> Value:
    """Reshape that leaves the images apart; the batch axis of the target is 0, -1, or that of the file."""
    part.expect(allowzero=0)
    value = part.value()
    target = part.numbers("shape", 1) or ()
    current = (None, *(value.shape[axis] for axis in value.axes))
    shape = [current[i] if n == 0 and i < len(current) else n for i, n in enumerate(target)]
    inner = [n for n in shape[1:] if isinstance(n, int) and n != -1]
    if shape[1:].count(-1) == 1 and math.prod(inner) > 0:
        # The batch axis is given then, since there can be one -1.
        shape = [n if n != -1 else value.size // math.prod(inner) for n in shape]
    if not shape or any(n is None or n < 1 for n in shape[1:]):
        raise part.refuse(f"has the shape {target}, expected a batch and positive sizes")
    return part.reshaped(value, tuple(int(n) for n in shape[1:] if n is not None))


def squeeze(part: Part) -> Value:
    """Axes of length 1 left out."""
    value = part.value()
    current = [value.shape[axis] for axis in value.axes]
    axes = part.numbers("axes", 1)
    left_out = {n % (len(current) + 1) for n in axes} if axes else {i + 1 for i, n in enumerate(current) if n == 1}
    return part.reshaped(value, tuple(n for i, n in enumerate(current) if i + 1 not in left_out))


def unsqueeze(part: Part) -> Value:
    """Axes of length 1 put in."""
    value = part.value()
    shape = [0, *(value.shape[axis] for axis in value.axes)]
    axes = part.numbers("axes", 1) or ()
    for axis in sorted(n % (len(shape) + len(axes)) for n in axes):
        shape.insert(axis, 1)
    return part.reshaped(value, tuple(shape[1:]))


def concat(part: Part) -> Value:
    """Values of one layout joined along an axis of an image."""
    values = [part.value(number) for number in range(len(part.inputs))]
    first = values[0]
    axis = part.attribute("axis", 1)
    axis += len(first.axes) + 1 if axis < 0 else 0
    if any(value.axes != first.axes for value in values) or not 1 <= axis <= len(first.axes):
        raise part.refuse(f"joins maps along axis {axis}, expected maps of one layout and an axis of an image")
    node = part.add(Concatenate, *(value.node for value in values), axis=first.axes[axis - 1] - len(first.axes))
    scale = first.scale if all(value.scale == first.scale for value in values) else None
    order = None
    if any(value.order is not None for value in values):
        orders = [np.arange(value.size) if value.order is None else value.order for value in values]
        starts = np.cumsum([0, *(value.size for value in values)])
        order = np.concatenate([each + start for each, start in zip(orders, starts, strict=False)])
    whole = all(value.whole for value in values)
    return Value(node, part.builder.shape(node), first.axes, order, scale, whole=whole)


def pad(part: Part) -> Value:
    """A border of one number; XnorConv makes one of signs itself."""
    part.expect(mode="constant")
    value = part.raw() if part.raw().border is None else part.value()
    axes, found = part.numbers("axes", 3), part.numbers("pads", 1) or ()
    number = part.operation.attributes.get("value", part.array(2, optional=True))
    number = 0.0 if number is None else float(np.float32(np.ravel(number)[0]))
    ends = dict.fromkeys(range(4), (0, 0))
    given = range(4) if axes is None else [n % 4 for n in axes]
    if not value.is_map or len(found) != 2 * len(given):
        raise part.refuse(f"has pads {found}, expected two for each axis of a map")
    for i, axis in enumerate(given):
        ends[axis] = found[i], found[len(given) + i]
    by_axis = {value.axes[axis - 1]: ends[axis] for axis in (1, 2, 3)}
    if any(ends[0]) or any(by_axis[2]) or not all(0 <= n <= MOST_PADDING for end in ends.values() for n in end):
        raise part.refuse(f"has pads {found}, expected a border of rows and columns")
    whole = value.whole and number == int(number)
    bordered = replace(value, border=((*by_axis[0], *by_axis[1]), number), whole=whole)
    return bordered if value.scale is not None else part.made(bordered)


READERS: dict[str, Callable[[Part], Value]] = {
    "Concat": concat,
    "Flatten": flatten,
    "Pad": pad,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
