"""From the layers of a trained network to the steps of a packed model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any

import numpy as np

import binnet_kernels as bk

from .. import nn
from ..models import Network
from ..nn import init
from ..ops import NotFiniteError
from . import steps
from .steps import Step

_NO_LIMIT = 1 << 62  # of an outline of what has been built before
_ONLY_BUILT = "its file would load as the network that was built"


def to_steps(module: nn.Module) -> tuple[Step, ...]:
    """The steps of a network or layer.

    Raises
    ------
    ValueError
        When a layer cannot be packed, naming it.
    """
    found = tuple(_steps(module))
    names = [step.name for step in found if step.arrays()]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the layer {name!r} is used twice; a packed model needs a layer for each use")
    return found


def _steps(module: nn.Module) -> Iterator[Step]:
    replaced = [name for name in vars(module) if callable(getattr(type(module), name, None))]
    if replaced:
        raise ValueError(f"{module.label} cannot be packed: its {replaced[0]} has been replaced")
    if type(module) in (nn.Sequential, Network):
        assert isinstance(module, nn.Sequential)
        for child in module:
            yield from _steps(child)
    elif type(module) is nn.Residual:
        shortcut = () if module.shortcut is None else to_steps(module.shortcut)
        yield steps.Add(module.path, to_steps(module.body), shortcut)
    elif type(module) is not nn.Dropout:  # in evaluation it does nothing
        if type(module) not in _CONVERTERS:
            raise ValueError(f"{module.label} cannot be packed: there is no packed form of this layer")
        yield _checked(module)


def _checked(module: nn.Module) -> Step:
    """The step of a layer, with finite numbers only."""
    try:
        step = _CONVERTERS[type(module)](module)
    except NotFiniteError as error:
        raise ValueError(f"{module.label} cannot be packed: its weights are not finite") from error
    for name, array in step.arrays().items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{module.label} cannot be packed: its {name} has values that are not finite")
    return step


def check_unedited(network: Any, own: tuple[Step, ...]) -> None:
    """ValueError unless a network comes to the steps that its description builds, which loading its file repeats.

    Parameters
    ----------
    network : Network
    own
        The steps it comes to.
    """
    with init.outline(limit=_NO_LIMIT):
        outline = network.spec.build()
        built = [*flat(to_steps(outline))]
    if network.fixed_size != outline.fixed_size:
        sizes = f"fixed_size is {network.fixed_size} and was {outline.fixed_size}"
        raise ValueError(f"{network.spec.name} was changed: {sizes}; {_ONLY_BUILT}")
    for step, expected in zip_longest(flat(own), built):
        if step is None or expected is None or step.name != expected.name:
            name = (step or expected).name if step is None or expected is None else step.name
            raise ValueError(f"{network.spec.name} was built with other layers, from {name} on; {_ONLY_BUILT}")
        difference = _difference(step, expected)
        if difference:
            raise ValueError(f"{step.name} was changed in {network.spec.name}: {difference}; {_ONLY_BUILT}")


def _difference(step: Step, built: Step) -> str:
    """In what a step differs from the one that was built, apart from the numbers in its arrays; empty for nothing."""
    if type(step) is not type(built):
        return f"it is a {type(step).__name__} and was a {type(built).__name__}"
    own, first = ({n: a.shape for n, a in s.arrays().items()} for s in (step, built))
    if own != first:
        return f"its arrays have the shapes {own} and had {first}"
    plain = {} if isinstance(step, steps.Add) else built.settings()  # a sum's are the steps in it
    for name, value in plain.items():
        if getattr(step, name) != value:
            return f"{name} is {getattr(step, name)!r} and was {value!r}"
    return ""


def flat(own: Iterable[Step]) -> Iterator[Step]:
    """All steps with those inside residual sums, in order."""
    for step in own:
        yield step
        if isinstance(step, steps.Add):
            yield from flat((*step.body, *step.shortcut))


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
