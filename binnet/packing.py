"""Packing of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .engine import PackedModel
from .engine.weights import rounded
from .graph.tracing import trace
from .modelfile.info import DataInfo
from .nn import Module
from .quantise import Calibration, quantise


def pack(
    network: Module,
    info: DataInfo | None = None,
    real: str = "float32",
    *,
    mean: Any = None,
    std: Any = None,
    class_names: Sequence[str] = (),
    input_shape: tuple[int, int, int] | None = None,
    calibration: Any = None,
) -> PackedModel:
    """Pack a trained network: binary weights to one bit, everything that training needs left out.

    The network runs in evaluation mode on images drawn at random, and the calls of layers and :mod:`binnet.ops` that
    are recorded become the graph, see :func:`binnet.graph.trace`.

    Parameters
    ----------
    network
        Any module that maps images (N, H, W, C) to a result (N, ...); it is not changed, and need not be in evaluation
        mode.
    info
        What to remember about the data; or, in its place:
    mean, std
        Of each channel of images scaled to [0, 1], as :meth:`binnet_datasets.Dataset.mean_std` returns them. Without
        them the model takes normalised arrays, but neither pixels nor image files.
    class_names
        One for each class.
    input_shape : (rows, columns, channels)
        Of an image. A network from :func:`binnet.models.build` knows its own.
    real
        ``"float32"``, or ``"float16"`` to round the weights of real layers so, for a smaller file. They are computed
        with in float32, before saving as after loading. Or ``"int8"`` for weights and inputs of real layers in eight
        bits, which is faster and smaller still, see :func:`binnet.quantise.quantise`.
    calibration
        Only for ``"int8"``: a few hundred training images, uint8 pixels or normalised (N, H, W, C), from which the
        ranges of the inputs are taken; or a :class:`binnet.quantise.Calibration`, which also names layers to keep
        real.

    Returns
    -------
    PackedModel
        Gives the same bits as ``network.eval()``, but for such a rounding; for an image the same ones in any batch.

    Raises
    ------
    TypeError
        When ``network`` is no module or ``info`` no DataInfo.
    ValueError
        When a layer cannot be packed, naming it; when what the network computes depends on the values of the images;
        when a weight is not finite; when ``info`` or ``input_shape`` does not fit the network; when ``real`` is
        another word, or too narrow for a weight; when calibration images are missing, given without need, or do not
        fit.
    """
    if (calibration is not None) != (real == "int8"):
        raise ValueError(f'calibration images are needed for real="int8" and for nothing else, got real={real!r}')
    if info is None:
        info = DataInfo(class_names=class_names, mean=mean, std=std)  # type: ignore[arg-type]  # makes a tuple of it
    elif mean is not None or std is not None or len(class_names):
        raise ValueError("give pack either info, or mean, std and class_names")
    if not isinstance(info, DataInfo):
        raise TypeError(f"info must be a DataInfo, got {type(info).__name__}")
    if not isinstance(network, Module):
        raise TypeError(f"network must be a binnet.nn.Module, got {type(network).__name__}")
    graph = trace(network, _input_shape(network, input_shape))
    graph.check_finite()
    spec = getattr(network, "spec", None)
    built = None if spec is None else spec.to_dict()
    if real == "int8":
        how = calibration if isinstance(calibration, Calibration) else Calibration(calibration)
        return quantise(PackedModel(graph, info.for_packing(), built=built), how).model
    return PackedModel(rounded(graph, real), info.for_packing(), real, built)


def _input_shape(network: Any, shape: Any) -> Any:
    """The shape of an image (H, W, C); ValueError when both sources of it differ or are missing."""
    spec = getattr(network, "spec", None)
    if spec is None:
        if shape is None:
            raise ValueError(f"pack needs input_shape=(rows, columns, channels) for {type(network).__name__}")
        return shape
    own = (*spec.image_size, spec.in_channels)
    if shape is not None and (not isinstance(shape, tuple | list) or tuple(shape) != own):
        raise ValueError(f"{spec.name} takes images {own}, but input_shape is {shape}")
    return own
