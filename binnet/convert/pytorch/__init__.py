"""PyTorch state dicts and safetensors, read without torch and without executing anything.

A state dict has arrays and no network, so a mapping says which nodes they become. ``unpickle`` interprets the few
pickle instructions that tensors need, ``archive``, ``legacy`` and ``safetensors`` read the containers, ``network``
builds the layers of a mapping.
"""

from __future__ import annotations

from pathlib import Path

from ...engine import PackedModel
from ..builder import Builder, refuse_reordered
from ..report import ConversionError, Imported, Options
from .layer import Signal
from .mapping import Mapping, read_mapping
from .network import Network
from .state import State, read_state

__all__ = ["read"]

_IGNORED = ("*num_batches_tracked",)  # a counter of batch normalisations


def read(source: Path, options: Options) -> Imported:
    """Read a file of ``torch.save`` or a safetensors file by ``options.mapping``.

    ConversionError, in one sentence, when the file is damaged, has anything but tensors, or does not fit the mapping.
    """
    mapping = read_mapping(options.mapping)
    try:
        state = read_state(source, mapping.state_dict)
    except ConversionError as error:
        raise ConversionError(f"{source.name}: {error}") from error
    try:
        return _built(source, state, mapping, options)
    except ConversionError as error:
        raise ConversionError(f"{source.name} by the mapping {options.mapping}: {error}") from error


def _built(source: Path, state: State, mapping: Mapping, given: Options) -> Imported:
    options = mapping.options(given)
    if options.input_shape is None:
        raise ConversionError("the size of an image is unknown; --input-shape says it")
    builder = Builder(options.input_shape, mapping.any_size)
    result = Network(builder, state, mapping).build(mapping.layers, "", Signal(builder.last))
    if result.node != builder.last:
        raise ConversionError("its last layer must compute the result")
    refuse_reordered(result.flattened)
    ignored, unused = state.unused((*_IGNORED, *mapping.ignore))
    if unused:
        # Not left out in silence: a bias that the mapping forgets would change the result.
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        raise ConversionError(
            f"no layer uses the tensors {', '.join(unused[:5])}{more}; ignore in the mapping skips them"
        )
    for name in ignored:
        builder.leave_out(name, "the mapping ignores it")
    for name in state.beside:
        builder.leave_out(name, "it is beside the state dict")
    try:
        model = PackedModel(builder.graph(), options.info(source.name, "pytorch"))
    except (ValueError, TypeError) as error:
        raise ConversionError(str(error)) from error
    return Imported(model, builder.report)
