"""A packed model: the steps of a network, run without autograd, and its file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import binnet_datasets
from binnet_kernels.checks import Float, floats

from .. import shipped, storage
from ..info import DataInfo
from ..models import ModelSpec, Network
from ..nn import init
from ..storage import PACKED, Array, StorageError
from .convert import check_unedited, flat, to_steps
from .engine import Engine, Timing, outline_of
from .real import dtype_in_file, rounded
from .steps import Add, Step, with_weights


class PackedModel:
    """A trained network at one bit a binary weight.

    Any number of Python threads may call one model. The first call on images of a shape makes a plan with all arrays
    for it; later ones allocate nothing but their result. Changing the arrays of ``steps`` afterwards has no effect.

    Attributes
    ----------
    spec : ModelSpec
        Name, mode, classes, channels, image size.
    info : DataInfo
        Normalisation, class names, provenance.
    real : str
        ``"float32"`` or ``"float16"``: how the file holds the weights of real layers, see :func:`pack`.
    """

    def __init__(
        self, spec: ModelSpec, info: DataInfo, steps: Sequence[Step], fixed_size: bool, real: str = "float32"
    ) -> None:
        info.check(spec.in_channels, spec.num_classes)
        self.spec, self.info, self.fixed_size, self.real = spec, info, fixed_size, real
        self._steps = tuple(steps)
        self._lock = threading.Lock()
        self._made: Engine | None = None

    def __call__(self, x: Any) -> Float:
        """Images (N, H, W, C) to logits float32 (N, num_classes).

        Parameters
        ----------
        x
            Normalised images of real numbers, or uint8 pixels 0..255, which are normalised with ``info.mean`` and
            ``info.std`` first.

        Raises
        ------
        TypeError, ValueError
            When the images have the wrong type or shape, are not finite, or are pixels of unknown normalisation.
        """
        images = self._images(x)
        if len(images):
            return self._engine(images)
        return np.zeros((0, self.spec.num_classes), np.float32)

    def profile(self, x: Any) -> list[Timing]:
        """The time and GMAC/s of each fused step on normalised images (N, H, W, C), N at least 1, run once.

        Raises
        ------
        TypeError, ValueError
            As when the model is called.
        """
        images = self._images(x)
        if not len(images):
            raise ValueError("a profile needs at least one image")
        return self._engine.profile(images)

    def _images(self, x: Any) -> Float:
        x = np.asarray(x)
        if x.dtype.kind in "iub":
            x = self._normalised(x)
        images = floats(x, "images", 4)
        size, channels = self.spec.image_size, self.spec.in_channels
        if images.shape[3] != channels or (self.fixed_size and images.shape[1:3] != size):
            rows = ", ".join(map(str, size)) if self.fixed_size else "H, W"
            raise ValueError(f"images must be (N, {rows}, {channels}), got {images.shape}")
        if not _is_finite(images):
            raise ValueError("images must be finite, got NaN or infinity")  # a sign would hide it
        return images

    def _normalised(self, pixels: Array) -> Float:
        """uint8 pixels as the network was trained on them."""
        if pixels.dtype != np.uint8:
            raise TypeError(f"images must be normalised real numbers, or pixels as uint8, got {pixels.dtype}")
        if pixels.ndim != 4:
            raise ValueError(f"images must have 4 dimensions, got shape {pixels.shape}")
        return binnet_datasets.normalise(pixels, *self.info.normalisation())

    def __getstate__(self) -> tuple[Any, ...]:
        """What pickling and copying take: all but the lock and the plans, which are made anew."""
        return self.spec, self.info, self.steps, self.fixed_size, self.real

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    @property
    def _engine(self) -> Engine:
        """Fused when first needed: a model that is only saved or listed compiles nothing."""
        with self._lock:
            if self._made is None:
                self._made = Engine(self._steps)
                self._steps = tuple(with_weights(step, outline_of) for step in self._steps)
            return self._made

    @property
    def steps(self) -> tuple[Step, ...]:
        """One for each layer. A model that has run holds its weights in the kernels' order alone: they are put back."""
        with self._lock:
            if self._made is None:
                return self._steps
            weights = self._made.weights()
            return tuple(with_weights(step, lambda step: weights[step.name]) for step in self._steps)

    def arrays(self) -> dict[str, Array]:
        """All arrays by ``step.field``, with the dtypes that they have in the file."""
        return {
            f"{step.name}.{field}": array.astype(dtype_in_file(step, field, self.real), copy=False)
            for step in flat(self.steps)
            for field, array in step.arrays().items()
        }

    def with_real(self, real: str) -> PackedModel:
        """The same model with its real weights as ``"float32"`` or ``"float16"``, see :func:`pack`."""
        return PackedModel(self.spec, self.info, rounded(self.steps, real), self.fixed_size, real)

    def to_bytes(self) -> bytes:
        """The contents of the model's file."""
        return storage.to_bytes(PACKED, self._stored(), self._description())

    def save(self, path: str | Path) -> None:
        """Write the model's file, whole or not at all; StorageError when that fails."""
        storage.save(path, PACKED, self._stored(), self._description())

    def _stored(self) -> dict[str, Array]:
        return self.arrays() | ({"trained_on": self.info.trained_on} if self.info.trained_on.size else {})

    def _description(self) -> dict[str, Any]:
        return {"model": self.spec.to_dict(), "data": self.info.to_dict()}


def pack(
    network: Network,
    info: DataInfo | None = None,
    real: str = "float32",
    *,
    mean: Any = None,
    std: Any = None,
    class_names: Sequence[str] = (),
    input_shape: tuple[int, int, int] | None = None,
) -> PackedModel:
    """Pack a trained network: binary weights to one bit, everything that training needs left out.

    Parameters
    ----------
    network
        From :func:`binnet.models.build`; it is not changed, and need not be in evaluation mode. Its layers must be
        those that were built: a packed model is loaded from their description.
    info
        What to remember about the data; or, in its place:
    mean, std
        Of each channel of images scaled to [0, 1], as :meth:`binnet_datasets.Dataset.mean_std` returns them. Without
        them the model takes normalised arrays, but neither pixels nor image files.
    class_names
        One for each class.
    input_shape : (rows, columns, channels)
        Of an image, to be checked against those that the network was built for.
    real
        ``"float32"``, or ``"float16"`` to round the weights of real layers so, for a smaller file. They are computed
        with in float32, before saving as after loading.

    Returns
    -------
    PackedModel
        Gives the same bits as ``network.eval()``, but for such a rounding; for an image the same ones in any batch.

    Raises
    ------
    TypeError
        When ``info`` is no DataInfo.
    ValueError
        When a layer cannot be packed or has been changed, naming it; when a weight is not finite; when ``info`` or
        ``input_shape`` does not fit the network; when ``real`` is another word, or too narrow for a weight.
    """
    if info is None:
        info = DataInfo(class_names=class_names, mean=mean, std=std)  # type: ignore[arg-type]  # makes a tuple of it
    elif mean is not None or std is not None or len(class_names):
        raise ValueError("give pack either info, or mean, std and class_names")
    if not isinstance(info, DataInfo):
        raise TypeError(f"info must be a DataInfo, got {type(info).__name__}")
    if type(network) is not Network:
        raise ValueError(f"pack takes a network from binnet.models.build, got {type(network).__name__}")
    _check_shape(network, input_shape)
    steps = to_steps(network)
    check_unedited(network, steps)
    return PackedModel(network.spec, info.for_packing(), rounded(steps, real), network.fixed_size, real)


def _check_shape(network: Network, shape: Any) -> None:
    """ValueError unless images of a shape (H, W, C), None for any, are those that a network takes."""
    expected = (*network.spec.image_size, network.spec.in_channels)
    if shape is not None and (not isinstance(shape, tuple | list) or tuple(shape) != expected):
        raise ValueError(f"{network.spec.name} takes images {expected}, but input_shape is {shape}")


def _is_finite(images: Float) -> bool:
    """Whether all values are finite. The sum tells in most cases, at less than the cost of looking at each value."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(images.sum())) or bool(np.isfinite(images).all())


def load(path: str | Path) -> PackedModel:
    """Read a packed model: a file, or one that comes with binnet by its name, such as ``"quick-tiny20"``.

    Raises
    ------
    StorageError
        In one sentence, when the file is missing, damaged or something else.
    """
    path = shipped.find(path)
    _, arrays, description = storage.load(path, PACKED)
    return from_parts(path, arrays, description)


def from_parts(path: str | Path, arrays: dict[str, Array], description: dict[str, Any]) -> PackedModel:
    """A packed model from what its file holds.

    The architecture is built from the description, as an outline without memory, and every array must have the dtype
    and shape it has there.
    """
    try:
        spec, keys = ModelSpec.from_dict(description["model"]), arrays.pop("trained_on", None)
        info = DataInfo.from_dict(description["data"], keys)
        with init.outline(limit=8 * sum(array.nbytes for array in arrays.values())):  # at a bit a weight, or more
            network = spec.build()
            blank = PackedModel(spec, info, to_steps(network), network.fixed_size)
        real = "float16" if any(array.dtype == np.float16 for array in arrays.values()) else "float32"
        steps = [_filled(step, arrays, real) for step in blank.steps]
        unknown = set(arrays) - set(blank.arrays())
        if unknown:
            raise ValueError(f"unknown array {min(unknown)}")
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise StorageError(f"{path} is damaged: {_reason(error)}") from error
    return PackedModel(blank.spec, info, steps, blank.fixed_size, real)  # which has all options, also later ones


def _filled(step: Step, arrays: dict[str, Array], real: str) -> Step:
    """The step with its arrays from the file, which has real weights as ``real``."""
    values: dict[str, Any] = step.settings()
    if isinstance(step, Add):
        values["body"] = tuple(_filled(s, arrays, real) for s in step.body)
        values["shortcut"] = tuple(_filled(s, arrays, real) for s in step.shortcut)
    for name, blank in step.arrays().items():
        stored, dtype = arrays[f"{step.name}.{name}"], dtype_in_file(step, name, real)
        if stored.shape != blank.shape or stored.dtype != dtype:
            expected, got = f"{dtype} {blank.shape}", f"{stored.dtype} {stored.shape}"
            raise ValueError(f"{step.name}.{name} must be {expected}, got {got}")
        if stored.dtype.kind == "f" and not np.isfinite(stored).all():
            raise ValueError(f"{step.name}.{name} has values that are not finite")
        values[name] = stored.astype(blank.dtype, copy=False)
    return type(step)(**values)


def _reason(error: BaseException) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
