"""Convolutions and dense layers of Larq and Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph import BwnConv, Conv, Pad, Shift, Sign, XnorConv
from ...graph.graph import Float, Four
from ..builder import packed_signs
from ..report import ConversionError
from .activations import activate
from .part import Part

NO_PADDING: Four = (0, 0, 0, 0)


@dataclass(frozen=True)
class Window:
    """How filters move over the map: steps, border, and the value that the border has."""

    stride: tuple[int, int] = (1, 1)
    padding: Four = NO_PADDING
    border: float = 0.0


@dataclass(frozen=True)
class Kernel:
    """Weights (O, KH, KW, C / groups) or (O, I) as they are stored, and how the layer quantises them.

    ``quantiser`` is that of :meth:`binnet.convert.larq.settings.Settings.quantiser`.
    """

    weight: Float
    quantiser: str = ""
    groups: int = 1

    @property
    def is_binary(self) -> bool:
        """Whether the weights are signs: by their quantiser, or because they are stored as +1 and −1."""
        return bool(self.quantiser) or bool((np.abs(self.weight) == 1).all())

    @property
    def alpha(self) -> Float | None:
        """The scale of each filter (O,), or None for 1: Larq has one for ``magnitude_aware_sign`` alone."""
        if self.quantiser != "magnitude":
            return None
        magnitudes = np.abs(self.weight.reshape(len(self.weight), -1))
        return np.asarray(magnitudes.mean(axis=1, dtype=np.float64), np.float32)

    @property
    def real(self) -> Float:
        """The quantised weights in real numbers."""
        if not self.quantiser:
            return np.ascontiguousarray(self.weight)
        signs, alpha = np.where(self.weight < 0, np.float32(-1), np.float32(1)), self.alpha
        return signs if alpha is None else signs * alpha.reshape(-1, *(1,) * (signs.ndim - 1))


def convolution(part: Part) -> None:
    """Conv2D and QuantConv2D."""
    stored = part.array("kernel", 4)  # rows, columns, in, out
    groups = int(part.settings.number("groups", 1))
    part.settings.only("groups", groups)
    _expect(part, stored.shape[:2], filters=stored.shape[3])
    kernel = Kernel(stored.transpose(3, 0, 1, 2), part.settings.quantiser("kernel_quantizer"), groups)
    _quantise_input(part)
    _apply(part, kernel, window_of(part, stored.shape[:2]))
    _end(part)


def dense(part: Part) -> None:
    """Dense and QuantDense; on a map it is a convolution of single pixels."""
    stored = part.array("kernel", 2)
    if part.settings.number("units", stored.shape[1]) != stored.shape[1]:
        raise ConversionError(f"its kernel has {stored.shape[1]} outputs, expected units")
    weight = stored.T if len(part.shape) == 1 else stored.T[:, None, None, :]
    _quantise_input(part)
    _apply(part, Kernel(weight, part.settings.quantiser("kernel_quantizer")), Window())
    _end(part)


def depthwise(part: Part) -> None:
    """DepthwiseConv2D and QuantDepthwiseConv2D."""
    stored = part.array("depthwise_kernel", 4)
    _expect(part, stored.shape[:2], depth_multiplier=stored.shape[3])
    part.settings.only("groups", 1)
    _quantise_input(part)
    _apply(part, _by_channel(part, stored), window_of(part, stored.shape[:2]))
    _end(part)


def separable(part: Part) -> None:
    """SeparableConv2D and QuantSeparableConv2D: one filter for each channel, then a convolution of single pixels."""
    first, second = part.array("depthwise_kernel", 4), part.array("pointwise_kernel", 4)
    _expect(part, first.shape[:2], depth_multiplier=first.shape[3], filters=second.shape[3])
    part.settings.only("groups", 1)
    _quantise_input(part)
    _apply(part, _by_channel(part, first), window_of(part, first.shape[:2]), bias=False)
    kernel = Kernel(second.transpose(3, 0, 1, 2), part.settings.quantiser("pointwise_quantizer"))
    _apply(part, kernel, Window())
    _end(part)


def window_of(part: Part, size: tuple[int, ...], stride: str = "strides", default: int | None = 1) -> Window:
    """The window of a layer whose filters have ``size`` (rows, columns), with TensorFlow's border."""
    settings = part.settings
    settings.only("data_format", "channels_last")
    settings.only("dilation_rate", [1, 1], 1)
    step = settings.pair(stride, list(size) if default is None else default)
    border = settings.number("pad_values", 0)
    settings.only("padding", "valid", "same")
    padding = NO_PADDING
    if settings.word("padding", "valid") == "same":
        if len(part.shape) != 3:
            raise ConversionError(f"it reads a map, got {part.shape}")
        (top, bottom), (left, right) = (_same(*each) for each in zip(part.shape[:2], size, step, strict=True))
        padding = top, bottom, left, right
        if top != bottom or left != right:
            part.notes.append(f"border {top}+{bottom} rows, {left}+{right} columns, as TensorFlow has it")
    return Window(step, padding, border)


def _same(length: int, size: int, step: int) -> tuple[int, int]:
    """Pixels before and after a map, so that it has ceil(length / step) windows; the odd one comes after it."""
    total = max((-(-length // step) - 1) * step + size - length, 0)
    return total // 2, total - total // 2


def _expect(part: Part, size: tuple[int, ...], **counts: int) -> None:
    """Refuse a layer whose arrays do not have the sizes that its settings state."""
    if part.settings.pair("kernel_size", list(size)) != size:
        raise ConversionError(f"its kernel has {size[0]}x{size[1]} weights, which is not its kernel_size")
    for key, count in counts.items():
        if part.settings.number(key, count) != count:
            raise ConversionError(f"its kernel has {count} {key}, which is not what its settings say")


def _by_channel(part: Part, stored: Float) -> Kernel:
    """One group of filters for each channel, from weights (KH, KW, C, filters of a channel)."""
    h, w, channels, several = stored.shape
    # Keras orders the result by channel, then by filter, as groups do.
    weight = stored.transpose(2, 3, 0, 1).reshape(channels * several, h, w, 1)
    quantiser = part.settings.quantiser("depthwise_quantizer")
    if quantiser == "magnitude":
        raise ConversionError("magnitude_aware_sign is not supported as depthwise_quantizer")
    return Kernel(weight, quantiser, channels)


def _quantise_input(part: Part) -> None:
    """Take the sign of the input where the layer does."""
    quantiser = part.settings.quantiser("input_quantizer")
    if quantiser == "magnitude":
        # Its scale is a mean over the batch, so an image's result would depend on the others.
        raise ConversionError("magnitude_aware_sign is not supported as input_quantizer")
    part.sign_first = bool(quantiser)


def _apply(part: Part, kernel: Kernel, window: Window, bias: bool = True) -> None:
    """Add the nodes of a convolution or dense layer, with its bias."""
    signs = part.sign_first or part.result in part.signed
    one_bit = kernel.is_binary and kernel.groups == 1
    b = part.array("bias", 1) if bias and part.settings.flag("use_bias", True) else None
    # Larq adds the border after the sign, so it may have other values than signs.
    if one_bit and signs and window.border in (0, 1, -1):
        _add_xnor(part, kernel, window)
    else:
        if part.sign_first:
            part.add(Sign, ".sign")
        # The border of a real convolution is 0, any other one is part of the map.
        if window.border and any(window.padding):
            part.add(Pad, ".border", padding=window.padding, value=window.border)
            window = Window(window.stride)
        _add_real(part, kernel, window, None if one_bit else b)
    part.sign_first = False
    # A bias of zeros, as before training, would cost time without effect.
    if b is not None and one_bit and b.any():
        part.add(Shift, ".bias", shift=b)


def _add_xnor(part: Part, kernel: Kernel, window: Window) -> None:
    if window.border and any(window.padding):
        part.notes.append(f"its border counts as {window.border:+.0f}")
    part.add(XnorConv, words=_words("XnorConv", kernel), pad_value=int(window.border), **_one_bit(kernel, window))
    _note(part, kernel)


def _add_real(part: Part, kernel: Kernel, window: Window, bias: Float | None) -> None:
    if kernel.is_binary and kernel.groups == 1:
        part.add(BwnConv, words=_words("BwnConv", kernel), **_one_bit(kernel, window))
        _note(part, kernel)
        return
    fields = {**_shape(kernel, window), "weight": kernel.real, "bias": bias, "groups": kernel.groups}
    part.add(Conv, words=_words("Conv", kernel), **fields)


def _shape(kernel: Kernel, window: Window) -> dict[str, Any]:
    return {"shape": kernel.weight.shape, "stride": window.stride, "padding": window.padding}


def _one_bit(kernel: Kernel, window: Window) -> dict[str, Any]:
    return {**_shape(kernel, window), "signs": packed_signs(kernel.weight < 0), "alpha": kernel.alpha}


def _note(part: Part, kernel: Kernel) -> None:
    if not kernel.quantiser:
        part.notes.append("its weights are +1 and -1 already")
    if not kernel.weight.all():
        part.notes.append("sign(0) = +1 for some weights")


def _words(kind: str, kernel: Kernel) -> str:
    shape = kernel.weight.shape
    groups = f" in {kernel.groups} groups" if kernel.groups > 1 else ""
    if len(shape) == 2:
        return f"{kind}, {shape[0]} outputs"
    return f"{kind} {shape[1]}x{shape[2]}, {shape[0]} filters{groups}"


def _end(part: Part) -> None:
    """What follows the filters: the layer's own activation."""
    activate(part, part.settings.get("activation"))
