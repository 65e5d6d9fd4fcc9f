"""Kinds of layers of a mapping with one bit per weight, from latent real weights or from packed words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import graph as nodes
from ...graph.graph import Array, Float, Shape
from ..builder import channels_last, packed_signs
from ..report import ConversionError
from .layer import Layer, choice, four, kind, pair, word
from .layers import add_sign, forget_order


@dataclass(frozen=True)
class _Weights:
    """Signs of weights, and their scales.

    Attributes
    ----------
    positive : bool (O, I) or (O, C, KH, KW)
        In the order of the file.
    alpha : float32 (O,), or None for 1
    note : str
    """

    positive: Array
    alpha: Float | None
    note: str


@dataclass(frozen=True)
class _OneBit:
    """Options of all layers with one bit per weight.

    Attributes
    ----------
    weight
        Name of the tensor.
    alpha
        ``"mean"``: the mean of |w| of each filter; ``"one"``; any other word is the name of a tensor. By default
        ``"mean"`` for latent weights, the tensor ``"alpha"`` for packed ones.
    center
        Whether the mean over the input channels is subtracted from latent weights, which are then clamped to [-1, 1].
    packed
        Whether the tensor has int32 words: a row for each filter, over (C, KH, KW), the lowest bit first, 1 for +1.
    """

    weight: Any = "weight"
    alpha: Any = None
    center: Any = False
    packed: Any = False

    def weights(self, layer: Layer, inner: Shape) -> _Weights:
        """The weights of filters with the shape ``inner``, (I,) or (C, KH, KW)."""
        packed = choice("packed", self.packed, False, True)
        alpha = word("alpha", self.alpha or ("alpha" if packed else "mean"))
        if packed:
            positive = _unpacked(layer.values(word("weight", self.weight)), inner)
            latent, note = None, "words of int32"
        else:
            latent = _latent(layer.real(word("weight", self.weight)), inner)
            if choice("center", self.center, False, True):
                mean = latent.mean(axis=1, keepdims=True, dtype=np.float64)
                latent = np.clip(latent - mean.astype(np.float32), np.float32(-1), np.float32(1))
            positive = latent >= 0
            zeros = int((latent == 0).sum())
            note = f"{zeros:,} weights are 0, they became +1" if zeros else ""
        return _Weights(positive, _scales(layer, alpha, latent, len(positive)), note)


def _unpacked(words: Array, inner: Shape) -> Array:
    """Bits of int32 words (O, ceil(n / 32)) as booleans (O, *inner), the lowest first."""
    n = int(np.prod(inner))
    if words.dtype != np.int32 or words.ndim != 2 or words.shape[1] != -(-n // 32):
        raise ConversionError(
            f"its packed weights are {words.dtype} {words.shape} instead of int32 (filters, {-(-n // 32)}), "
            f"for filters of {inner}"
        )
    bits = np.unpackbits(words.astype("<i4").view(np.uint8), axis=1, bitorder="little")
    if bits[:, n:].any():
        raise ConversionError(f"its packed weights have bits behind the {n} weights of a filter")
    positive: Array = bits[:, :n].reshape(-1, *inner) != 0
    return positive


def _latent(weight: Float, inner: Shape) -> Float:
    """Real weights (O, *inner), which some networks store as one column."""
    n = int(np.prod(inner))
    flat = weight.ndim == 2 and weight.shape[1] == 1 and len(inner) > 1 and weight.size % n == 0
    if not flat and weight.shape[1:] != inner:
        raise ConversionError(f"its weights have shape {weight.shape} instead of (filters, {str(inner)[1:-1]})")
    return weight.reshape(-1, *inner)


def _scales(layer: Layer, alpha: str, latent: Float | None, filters: int) -> Float | None:
    """α of each filter, or None for 1."""
    if alpha == "one":
        return None
    if alpha != "mean":
        return np.array(np.broadcast_to(layer.vector(alpha, filters), filters))
    if latent is None:
        raise ConversionError('alpha = "mean" needs latent weights, not packed ones')
    mean: Float = np.abs(latent).reshape(filters, -1).mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


@dataclass(frozen=True)
class _OneBitConv(_OneBit):
    """Convolutions: ``kernel`` is the size of the window, needed where the tensor does not have it."""

    kernel: Any = None
    stride: Any = 1
    padding: Any = 0

    def fields(self, layer: Layer) -> tuple[dict[str, Any], str]:
        """Fields of the node, and a note."""
        if len(layer.shape) != 3:
            raise ConversionError("a convolution needs a map, not features")
        kh, kw = self._kernel(layer)
        weights = self.weights(layer, (layer.shape[2], kh, kw))
        negative = channels_last(~weights.positive)
        window = {"stride": pair("stride", self.stride), "padding": four("padding", self.padding)}
        return _fields(negative, weights.alpha) | window, weights.note

    def _kernel(self, layer: Layer) -> tuple[int, int]:
        if self.kernel is not None:
            kh, kw = pair("kernel", self.kernel)
            if not 1 <= kh * kw <= 1 << 16:
                raise ConversionError(f"kernel must be at least 1, got {kh, kw}")
            return kh, kw
        shape = layer.values(word("weight", self.weight)).shape
        if len(shape) != 4:
            raise ConversionError(f"its weights have shape {shape}, so that the option kernel is needed")
        return shape[2], shape[3]


@dataclass(frozen=True)
class _OneBitLinear(_OneBit):
    """Dense layers."""

    def fields(self, layer: Layer) -> tuple[dict[str, Any], str]:
        """Fields of the node, and a note."""
        if len(layer.shape) != 1:
            raise ConversionError("a dense layer needs features; a flatten layer makes them of a map")
        weights = self.weights(layer, layer.shape)
        negative = np.ascontiguousarray(layer.columns(~weights.positive))
        window = {"stride": (1, 1), "padding": (0, 0, 0, 0)}
        return _fields(negative, weights.alpha) | window, weights.note


def _fields(negative: Array, alpha: Float | None) -> dict[str, Any]:
    return {"shape": negative.shape, "signs": packed_signs(negative), "alpha": alpha}


def _finish(layer: Layer, name: str, node: Any, fields: dict[str, Any], notes: list[str]) -> None:
    """Add the node, the bias behind it, and the row of the report."""
    shape = fields["shape"]
    layer.add(node, **fields)
    forget_order(layer)
    if layer.has("bias"):
        layer.add(nodes.Shift, "bias", shift=layer.vector("bias", shape[0]))
        notes.append("a bias")
    window = f"{shape[1]}x{shape[2]}, {shape[0]} filters" if len(shape) == 4 else f"{shape[1]} to {shape[0]}"
    became = f"{node.__name__} {window}" if len(shape) == 4 else f"dense {node.__name__}, {window}"
    layer.tell(name, became, ", ".join(note for note in notes if note))


@kind("xnor_conv")
@dataclass(frozen=True)
class _XnorConv(_OneBitConv):
    """Signs of the input by signs of the weights; ``pad_value`` is the border, ``zero`` the sign of 0 of the input."""

    pad_value: Any = 0
    zero: Any = 1
    use_k: Any = False

    def build(self, layer: Layer, name: str) -> None:
        fields, note = self.fields(layer)
        fields["pad_value"] = choice("pad_value", self.pad_value, 0, 1, -1)
        fields["use_k"] = choice("use_k", self.use_k, False, True)
        notes = [note, _signed(layer, self.zero, fields["use_k"])]
        if any(fields["padding"]) and self.pad_value:
            notes.append(f"pads count as {self.pad_value:+d}")
        _finish(layer, name, nodes.XnorConv, fields, notes)


@kind("xnor_linear")
@dataclass(frozen=True)
class _XnorLinear(_OneBitLinear):
    """As ``xnor_conv``, dense."""

    zero: Any = 1
    use_k: Any = False

    def build(self, layer: Layer, name: str) -> None:
        fields, note = self.fields(layer)
        fields["use_k"] = choice("use_k", self.use_k, False, True)
        _finish(layer, name, nodes.XnorConv, fields, [note, _signed(layer, self.zero, fields["use_k"])])


def _signed(layer: Layer, zero: Any, use_k: bool) -> str:
    """Add a sign in front where sign(0) is -1, which the node itself takes for +1, and return the note about it."""
    if choice("zero", zero, 1, -1) == 1:
        return ""
    if use_k:
        raise ConversionError("zero = -1 and use_k = true cannot be combined: K needs the numbers before the sign")
    add_sign(layer, -1, "sign")
    return "sign(0) = -1"


@kind("bwn_conv")
@dataclass(frozen=True)
class _BwnConv(_OneBitConv):
    """One-bit weights, real input, zeros around it."""

    node: ClassVar[Any] = nodes.BwnConv

    def build(self, layer: Layer, name: str) -> None:
        fields, note = self.fields(layer)
        _finish(layer, name, nodes.BwnConv, fields, [note])


@kind("bwn_linear")
@dataclass(frozen=True)
class _BwnLinear(_OneBitLinear):
    """As ``bwn_conv``, dense."""

    def build(self, layer: Layer, name: str) -> None:
        fields, note = self.fields(layer)
        _finish(layer, name, nodes.BwnConv, fields, [note])
