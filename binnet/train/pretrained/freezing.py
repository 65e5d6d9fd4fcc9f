"""Freezing: the first layers of a network that began with a trained model do not learn."""

from __future__ import annotations

from ...models import ModelSpec
from ...nn import Module, Parameter
from ...nn.options import CHOICES, USED_IN
from ..config import ConfigError
from ..options.types import flag
from .finetune import Start, some
from .forward import in_order
from .model import Pretrained

# Options of binary layers that change what a network computes, not how it learns.
_COMPUTED = ("use_k", "scale", "order", "center", "pad_value", "classifier", "weight_bits", "act_bits", "weights")


def freeze(
    network: Module, spec: ModelSpec, until: str, start: Start, pretrained: Pretrained | None = None
) -> list[Module]:
    """Freeze all layers up to and including one, in the order of the forward pass.

    Parameters
    ----------
    network
        The parameters of its frozen layers get ``requires_grad = False``.
    spec
        Its specification.
    until
        Path of the last frozen layer or block, such as ``block2`` or ``block2.conv``.
    start
        The network's initialisation, which tells the arrays with fresh values: they have yet to learn.
    pretrained
        The model that the network began with, whose layers must compute the same; None where that was checked before.

    Returns
    -------
    list of Module
        The frozen layers, which must stay in evaluation mode.

    Raises
    ------
    ConfigError
        When there is no such layer, with a list of the layers; when no parameter is left to learn; when a frozen layer
        has new arrays, or computes something else than the model's.
    """
    if pretrained is not None:
        _require_same_layers(spec, pretrained)
    layers = [path for path, _ in in_order(network, spec)]
    inside = [i for i, path in enumerate(layers) if f"{path}.".startswith(f"{until}.")]
    if not inside:
        known = ", ".join(name for name, child in network.children() if child.parameters())
        raise ConfigError(f"unknown layer {until!r} in --freeze-until; there are: {known}, and the layers inside them")
    learning = layers[inside[-1] + 1 :]
    # A container around both frozen and learning layers is not frozen itself.
    frozen = {
        path: module
        for path, module in network.named_modules()
        if path and not any(f"{layer}.".startswith(f"{path}.") for layer in learning)
    }
    fresh = [name for name in start.new if name.rpartition(".")[0] in frozen]
    if fresh:
        raise ConfigError(
            f"--freeze-until {until} would freeze arrays that begin fresh: {some(fresh)}; freeze fewer layers, or none"
        )
    for module in frozen.values():
        for value in vars(module).values():
            if isinstance(value, Parameter):
                value.requires_grad = False
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(f"--freeze-until {until} leaves nothing to learn")
    return [*frozen.values()]


def _require_same_layers(now: ModelSpec, pretrained: Pretrained) -> None:
    """ConfigError when the layers of a network compute something else than those of the model with its name."""
    before = pretrained.spec
    if before is None or before.name != now.name:
        return
    pairs = {"binarize": (before.binarize, now.binarize)}
    used = (name for name in _COMPUTED if now.binarize in USED_IN[name])
    pairs |= {name: tuple(s.options.get(name, CHOICES[name][0]) for s in (before, now)) for name in used}
    for name, (theirs, ours) in pairs.items():
        if theirs != ours:
            wanted = f"as {pretrained.file} has it, {theirs}"
            raise ConfigError(f"{flag(name)} must be {wanted}, with --freeze-until, got {ours}")
