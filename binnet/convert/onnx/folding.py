"""Evaluates operations on arrays that are in the file: shapes, weights, numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...graph.graph import Array
from ..report import ConversionError
from .loading import Operation

LARGEST = 1 << 28  # values of a result
TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}
Arrays = list[Array | None]


def fold(operation: Operation, arrays: Arrays) -> Array:
    """The result of an operation on arrays; ConversionError when it does not fit them, or is not known."""
    if operation.kind not in FOLDS:
        raise ConversionError(f"{operation.name} is a {operation.kind} of arrays, which binnet does not evaluate")
    # Checked before anything is computed: a small file could join or repeat an array to fill all memory.
    sizes = [array.shape for array in arrays if array is not None]
    if operation.kind in ELEMENTWISE and math.prod(_broadcast(operation, sizes)) > LARGEST:
        raise ConversionError(f"{operation.name} makes an array of more than {LARGEST:,} values")
    if sum(map(math.prod, sizes)) > LARGEST:
        raise ConversionError(f"{operation.name} makes an array of more than {LARGEST:,} values")
    try:
        with np.errstate(all="ignore"):
            return np.asarray(FOLDS[operation.kind](operation.attributes, arrays))
    except (ValueError, IndexError, TypeError, OverflowError, KeyError, AttributeError) as error:
        raise ConversionError(f"{operation.name}, a {operation.kind}, does not fit its arrays") from error


def _broadcast(operation: Operation, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ConversionError(f"{operation.name} cannot combine arrays of {', '.join(map(str, shapes))}") from error


def _axes(attributes: dict[str, Any], arrays: Arrays) -> tuple[int, ...]:
    """Axes as an attribute (before version 13) or as the second input."""
    given = attributes.get("axes", arrays[1] if len(arrays) > 1 else ())
    return tuple(int(n) for n in np.ravel(given if given is not None else ()))


def _gather(attributes: dict[str, Any], arrays: Arrays) -> Array:
    array, indices = _two(arrays)
    axis = attributes.get("axis", 0)
    if indices.size * (array.size // max(array.shape[axis], 1)) > LARGEST:
        raise ValueError
    return np.take(array, indices, axis)


def _two(arrays: Arrays) -> tuple[Array, Array]:
    one, other = arrays
    if one is None or other is None:
        raise ValueError
    return one, other


def _divide(attributes: dict[str, Any], arrays: Arrays) -> Any:
    one, other = _two(arrays)
    return one / other if one.dtype.kind == "f" else np.trunc(one / other).astype(one.dtype)


def _all(arrays: Arrays) -> list[Array]:
    present = [array for array in arrays if array is not None]
    if len(present) < len(arrays):
        raise ValueError
    return present


def _concatenate(attributes: dict[str, Any], arrays: Arrays) -> Array:
    return np.concatenate(_all(arrays), attributes["axis"])


def _where(attributes: dict[str, Any], arrays: Arrays) -> Array:
    condition, one, other = _all(arrays)
    return np.where(condition, one, other)


def _reshape(attributes: dict[str, Any], arrays: Arrays) -> Array:
    array, shape = _two(arrays)
    return array.reshape([array.shape[i] if n == 0 else int(n) for i, n in enumerate(shape.ravel())])


def _of_dtype(call: Callable[..., Any]) -> Callable[[dict[str, Any], Arrays], Any]:
    return lambda attributes, arrays: np.asarray(call(*_two(arrays))).astype(_first(arrays).dtype, copy=False)


def _first(arrays: Arrays) -> Array:
    if not arrays or arrays[0] is None:
        raise ValueError
    return arrays[0]


def _bipolar(attributes: dict[str, Any], arrays: Arrays) -> Any:
    x, scale = _two(arrays)
    return np.where(x >= 0, np.float32(1), np.float32(-1)) * scale.astype(np.float32)


def _quant(attributes: dict[str, Any], arrays: Arrays) -> Any:
    """QONNX's Quant: the nearest multiple of the scale within the range of the bits; one signed bit is ±scale."""
    x, scale, zero, bits = (np.asarray(array, np.float64) for array in arrays)
    number, signed = float(bits.ravel()[0]), bool(attributes.get("signed", 1))
    if attributes.get("rounding_mode", "ROUND") != "ROUND" or bits.size != 1 or not 1 <= number <= 32:
        raise ValueError
    if number == 1 and signed:
        return _bipolar(attributes, [np.asarray(x), np.asarray(scale)])
    narrow = bool(attributes.get("narrow", 0))
    low = -(2 ** (number - 1)) + narrow if signed else 0
    high = 2 ** (number - 1) - 1 if signed else 2**number - 1 - narrow
    return np.float32((np.clip(np.rint(x / scale + zero), low, high) - zero) * scale)


FOLDS: dict[str, Callable[[dict[str, Any], Arrays], Any]] = {
    "Abs": lambda a, x: np.abs(_first(x)),
    "Add": _of_dtype(np.add),
    "BipolarQuant": _bipolar,
    "Cast": lambda a, x: _first(x).astype(TYPES[a["to"]]),
    "Concat": _concatenate,
    "Constant": lambda a, x: a["value"] if "value" in a else _plain(a),
    "Div": _divide,
    "Gather": _gather,
    "Greater": lambda a, x: np.greater(*_two(x)),
    "GreaterOrEqual": lambda a, x: np.greater_equal(*_two(x)),
    "Identity": lambda a, x: _first(x),
    "Less": lambda a, x: np.less(*_two(x)),
    "LessOrEqual": lambda a, x: np.less_equal(*_two(x)),
    "Mul": _of_dtype(np.multiply),
    "Neg": lambda a, x: -_first(x),
    "Pow": _of_dtype(np.power),
    "Quant": _quant,
    "Reciprocal": lambda a, x: 1 / _first(x),
    "Reshape": _reshape,
    "Sign": lambda a, x: np.sign(_first(x)),
    "Sqrt": lambda a, x: np.sqrt(_first(x)),
    "Squeeze": lambda a, x: np.squeeze(_first(x), _axes(a, x) or None),
    "Sub": _of_dtype(np.subtract),
    "Transpose": lambda a, x: np.transpose(_first(x), a.get("perm")),
    "Unsqueeze": lambda a, x: np.expand_dims(_first(x), _axes(a, x)),
    "Where": _where,
}
ELEMENTWISE = {"Add", "BipolarQuant", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mul", "Pow", "Quant"}
ELEMENTWISE |= {"Sub", "Where"}


def _plain(attributes: dict[str, Any]) -> Array:
    """A Constant whose value is a number or numbers."""
    types = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    ((name, value),) = attributes.items()
    return np.array(value, types[name])
