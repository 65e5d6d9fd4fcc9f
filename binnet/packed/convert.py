"""From the layers of a trained network to the steps of a packed model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import binnet_kernels as bk

from .. import nn
from ..nn import init
from . import steps
from .steps import Step


def to_steps(module: nn.Module) -> tuple[Step, ...]:
    """The steps of a network or layer.

    Raises
    ------
    ValueError
        When a layer cannot be packed, naming it.
    """
    return tuple(_steps(module))


def _steps(module: nn.Module) -> Iterator[Step]:
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from _steps(child)
    elif isinstance(module, nn.Residual):
        shortcut = () if module.shortcut is None else to_steps(module.shortcut)
        yield steps.Add(module.path, to_steps(module.body), shortcut)
    elif not isinstance(module, nn.Dropout):  # in evaluation it does nothing
        if type(module) not in _CONVERTERS:
            raise ValueError(f"{module.label} cannot be packed: there is no packed form of this layer")
        yield _CONVERTERS[type(module)](module)


def _window(layer: Any) -> dict[str, Any]:
    """Weight shape, stride and padding; a dense layer is a window of one pixel."""
    one, none = (1, 1), (0, 0)
    return {
        "shape": layer.weight.shape,
        "stride": getattr(layer, "stride", one),
        "padding": getattr(layer, "padding", none),
    }


def _conv(layer: Any) -> Step:
    bias = None if layer.bias is None else layer.bias.data.copy()
    weight = layer.weight.data
    return steps.Conv(
        layer.path, **_window(layer), weight=weight if init.is_outline(weight) else weight.copy(), bias=bias
    )


def _binary(layer: Any, field: str, pack: Callable[[Any], Any], *planes: int) -> dict[str, Any]:
    """Window, scales, and as ``field`` what ``pack`` makes of the weights: words (ceil(n / 64),) for each plane."""
    weight, scaled = layer.weight.data, layer.scale != "none"
    if init.is_outline(weight):
        words = init.repeated(np.uint64(0), (*planes, -(-weight.size // 64)))
        scales = init.repeated(np.float32(0), weight.shape[:1]) if scaled else None
        return {**_window(layer), field: words, "alpha": scales}
    latent, alpha = layer.binary_weight()
    return {**_window(layer), field: pack(latent), "alpha": np.array(alpha, np.float32) if scaled else None}


def _one_bit(layer: Any) -> dict[str, Any]:
    return _binary(layer, "signs", lambda latent: bk.pack_signs(latent.ravel()))


def _xnor(layer: Any) -> Step:
    if layer.options.levels:
        return _kbit(layer)
    return steps.XnorConv(layer.path, **_one_bit(layer), pad_value=layer.pad_value, use_k=layer.use_k)


def _kbit(layer: Any) -> Step:
    bits = layer.weight_bits

    def pack(latent: Any) -> Any:
        return bk.pack_planes(bk.quantise_weight(latent, bits).ravel(), bits)

    settings = {"pad_value": layer.pad_value, "use_k": layer.use_k, "act_bits": layer.options.act_bits}
    return steps.KbitConv(layer.path, **_binary(layer, "planes", pack, bits), **settings)


def _batch_norm(layer: Any) -> Step:
    factor = layer.gamma.data / np.sqrt(layer.running_var + np.float32(layer.eps))
    return steps.BatchNorm(layer.path, layer.running_mean.copy(), factor, layer.beta.data.copy())


def _pool(kind: Any) -> Callable[[Any], Step]:
    def convert(layer: Any) -> Step:
        pool: Step = kind(layer.path, layer.kernel_size, layer.stride, layer.padding)
        return pool

    return convert


_CONVERTERS: dict[type[nn.Module], Callable[[Any], Step]] = {
    nn.Conv2d: _conv,
    nn.Linear: _conv,
    nn.BinConv2d: _xnor,
    nn.BinLinear: _xnor,
    nn.BwnConv2d: lambda layer: steps.BwnConv(layer.path, **_one_bit(layer)),
    nn.BwnLinear: lambda layer: steps.BwnConv(layer.path, **_one_bit(layer)),
    nn.BatchNorm: _batch_norm,
    nn.ReLU: lambda layer: steps.Relu(layer.path),
    nn.Sign: lambda layer: steps.Sign(layer.path),
    nn.Quantise: lambda layer: steps.Quantise(layer.path, layer.bits),
    nn.MaxPool2d: _pool(steps.MaxPool),
    nn.AvgPool2d: _pool(steps.AvgPool),
    nn.GlobalAvgPool: lambda layer: steps.GlobalAverage(layer.path),
    nn.Flatten: lambda layer: steps.Flatten(layer.path),
}
