"""Opening a trained model, packed or not, and its scores on images with labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_datasets import Loader, Split
from binnet_kernels.checks import Float

from .. import engine, shipped
from ..autograd import Tensor
from ..context import no_grad
from ..engine import PackedModel
from ..engine.preprocessing import view_of
from ..modelfile import CHECKPOINT, StorageError, container
from ..modelfile.info import DataInfo
from ..models import ModelSpec, build_spec, check_images
from ..models.own_network import OwnNetwork, OwnNetworkError, rebuild
from ..nn import Module, init
from ..ops import cross_entropy
from ..packing import pack
from ..parallel.communicator import Communicator

Ints = npt.NDArray[np.int64]
Tick = Callable[[int], None]
MOST_VALUES = 1 << 22  # limit of H W C times images per batch: activations take many times the memory of the images


@dataclass(frozen=True)
class Model:
    """A model loaded from a checkpoint or a packed model, ready to run.

    Attributes
    ----------
    kind : str
        ``CHECKPOINT`` or ``PACKED``.
    info : DataInfo
        Preprocessing, normalisation and class names.
    logits : function of float32 (N, H, W, C) to float32 (N, num_classes)
    packed : PackedModel
        The packed model; for a checkpoint it is packed on loading.
    network : Module or None
        The network with real weights, in evaluation mode; None for a packed model.
    """

    kind: str
    info: DataInfo
    logits: Callable[[Float], Float]
    packed: PackedModel
    network: Module | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.packed.image_size

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return self.packed.in_channels

    @property
    def takes_pixels(self) -> bool:
        """Whether ``logits`` also takes uint8 pixels, and reads them as they are."""
        return self.packed.takes_pixels

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.packed.num_classes

    def require_classifier(self, file: object) -> None:
        """Raise ValueError unless the model returns one score per class and has a normalisation.

        The message contains ``file``.
        """
        self.info.normalisation(file)
        result = self.packed.graph.result
        if len(result) != 1:
            shape = f"(N, {', '.join(map(str, result))})"
            raise ValueError(f"{file} gives {shape} for images, expected scores (N, classes)")


def open_model(path: str | Path, own: OwnNetwork | str | None = None) -> Model:
    """Open a checkpoint, a packed model, the packed model of a run folder, or by its name a model shipped with binnet.

    Parameters
    ----------
    path
        File, run folder, or name of a shipped model.
    own
        The custom network, for a checkpoint of one; see :func:`binnet.models.own_network.rebuild`.

    Raises
    ------
    StorageError
        When the file is missing or damaged.
    OwnNetworkError
        When the custom network cannot be rebuilt.
    """
    path = model_file(path)
    kind, arrays, description = container.load(path)
    if kind == CHECKPOINT:
        spec, network, info = restore(path, arrays, description, own)
        packed = pack_network(network, spec, info)
        return Model(kind, info, logits_of(run(network), packed), packed, network)
    model = engine.from_parts(path, arrays, description)
    return Model(kind, model.info, logits_of(model, model), model)


def logits_of(result: Callable[[Float], Float], packed: PackedModel) -> Callable[[Float], Float]:
    """The function that computes logits: for a network that ends in a softmax, the logarithms of its probabilities."""
    if not packed.gives_probabilities:
        return result
    # A probability that underflowed to 0 counts as the smallest float32, since log(0) would make the loss infinite.
    least = np.finfo(np.float32).smallest_subnormal
    return lambda x: np.log(np.maximum(result(x), least))


def model_file(path: str | Path, name: str = "packed.h5") -> Path:
    """The path of a model's file: ``name`` in a run folder, else the result of :func:`binnet.shipped.find`.

    Raises
    ------
    StorageError
        When there is no such file, or a run folder does not hold it yet.
    """
    path = Path(path)
    if not shipped.is_run_folder(path):
        found = shipped.find(path)
        if found.is_dir():
            raise StorageError(f"{found} is a folder, expected a model file or the folder of a run")
        return found
    if not (path / name).is_file():
        there = [other for other in ("best.h5", "last.h5", "packed.h5") if (path / other).is_file()]
        instead = f"; it holds {' and '.join(there)}" if there else ""
        raise StorageError(f"the run folder {path} holds no {name}{instead}")
    return path / name


def pack_network(network: Module, spec: ModelSpec, info: DataInfo) -> PackedModel:
    """Pack a trained network, either one of :mod:`binnet.models` or a custom network."""
    model = pack(network, info, input_shape=(*spec.image_size, spec.in_channels))
    return PackedModel(model.graph, model.info, built=spec.provenance())


def restore(
    path: str | Path, arrays: dict[str, Any], description: dict[str, Any], own: OwnNetwork | str | None = None
) -> tuple[ModelSpec, Module, DataInfo]:
    """The spec, the network in evaluation mode, and the data description of a loaded checkpoint.

    Raises
    ------
    StorageError
        When the description or the arrays do not fit each other.
    OwnNetworkError
        When the custom network cannot be rebuilt.
    """
    try:
        spec = ModelSpec.from_dict(description["model"])
        info = DataInfo.from_dict(description["data"], arrays.get("trained_on"))
        info.check(spec.in_channels, spec.num_classes)
        prefix = "network."
        state = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
        if spec.source is None:
            # A small file can describe a huge network: the layers are built without memory first, and refused when
            # they have more weights than the file.
            with init.outline(limit=sum(array.size for array in state.values())):
                build_spec(spec)
        network = rebuild(path, spec, own)
        network.load_state_dict(state)
    except OwnNetworkError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error
    return spec, network.eval(), info


def run(network: Module) -> Callable[[Float], Float]:
    """A network as a function of arrays, without recording for gradients; the network's mode is not changed."""

    def logits(x: Float) -> Float:
        check_images(x)
        with no_grad():
            return network(Tensor(x)).numpy()

    return logits


@dataclass(frozen=True)
class Scores:
    """The scores of a model on a split.

    Attributes
    ----------
    loss : float
        Mean cross-entropy in nats.
    top1, top5 : float
        Share of images whose label is the most probable class, or among the five most probable, 0 to 1.
    n : int
        Number of images.
    predictions : int64 (n,)
        Predicted class of each image.
    confusion : int64 (num_classes, num_classes)
        Counts by label (row) and prediction (column).
    """

    loss: float
    top1: float
    top5: float
    n: int
    predictions: Ints
    confusion: Ints

    @property
    def recall(self) -> Float:
        """Share of correct predictions per class, float32 (num_classes,), 0 to 1; NaN for a class without images."""
        counts = self.confusion.sum(axis=1)
        # np.where evaluates both branches, so the divisor must not be 0 in the one that is not used.
        right = np.where(counts, self.confusion.diagonal() / np.maximum(counts, 1), np.nan)
        return right.astype(np.float32)

    @property
    def balanced(self) -> float:
        """Balanced accuracy: the mean recall of the classes that have images, 0 to 1."""
        counts = self.confusion.sum(axis=1)
        there = counts > 0
        return float((self.confusion.diagonal()[there] / counts[there]).mean())

    def to_dict(self) -> dict[str, Any]:
        """All scores except the predictions, ready for JSON."""
        figures = {"top1": self.top1, "top5": self.top5, "n": self.n, "loss": self.loss, "balanced": self.balanced}
        return {**figures, "confusion": self.confusion.tolist()}


def evaluate(
    logits: Callable[[Float], Float],
    split: Split,
    info: DataInfo,
    batch_size: int | None = None,
    tick: Tick | None = None,
    *,
    image_size: tuple[int, int] | None = None,
    communicator: Communicator | None = None,
) -> Scores:
    """Scores of a model on a split. While a batch is computed, the next one is prepared in the background.

    Parameters
    ----------
    logits
        Function of float32 (N, H, W, C) to float32 (N, num_classes).
    split
        Images and labels.
    info
        Preprocessing and normalisation of the images.
    batch_size
        Images per batch; None for 256, or fewer when images have more than 74 x 74 colour pixels.
    tick
        Called with the number of images after each batch.
    image_size
        Rows and columns of the model's input, see :func:`binnet.engine.preprocessing.view_of`; None for the images'
        own size.
    communicator
        Workers that share the batches; each gets the scores of all.

    Raises
    ------
    ValueError
        When the split is empty, or the normalisation is unknown.
    """
    if not len(split):
        raise ValueError("there are no images to evaluate on")
    workers, parts = communicator or Communicator(), []
    if batch_size is None:
        batch_size = _default_batch(image_size or split.uniform_size, split.channels)
    mean, std = info.normalisation()
    view = view_of(info, split, image_size)
    loader = Loader(split, batch_size, mean=mean, std=std, view=view)
    # Whole batches go to the workers in turn, so that batches are the same for any number of workers.
    for images, labels in loader.epoch(skip=workers.rank, every=workers.size):
        found = logits(images)
        # The mean of a batch is weighted by its size, since the last batch can be smaller.
        parts.append((found, float(cross_entropy(Tensor(found), labels).item()) * len(labels)))
        if tick:
            tick(len(labels))
    every = workers.gather(parts)
    in_order = [every[number % workers.size][number // workers.size] for number in range(len(loader))]
    loss = sum(part for _, part in in_order)
    return _scores(np.concatenate([found for found, _ in in_order]), split.labels, loss / len(split))


def _default_batch(image_size: tuple[int, int] | None, channels: int) -> int:
    """The default batch size: 256, or fewer for large images."""
    return max(1, min(256, MOST_VALUES // (math.prod(image_size or (1, 1)) * channels)))


def _scores(logits: Float, labels: Ints, loss: float) -> Scores:
    """The scores of logits, float32 (n, num_classes), for labels, int64 (n,)."""
    predictions = logits.argmax(axis=1)
    confusion = np.zeros((logits.shape[1],) * 2, np.int64)
    np.add.at(confusion, (labels, predictions), 1)  # unlike +=, this counts a pair as often as it occurs
    return Scores(
        loss, float((predictions == labels).mean()), in_top(logits, labels, 5), len(labels), predictions, confusion
    )


def in_top(logits: Float, labels: Ints, k: int) -> float:
    """Share of rows whose label is among the ``k`` largest logits; ties are broken in favour of the lower class.

    ``logits`` is float32 (n, num_classes), ``labels`` int64 (n,).
    """
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((order == labels[:, None]).any(axis=1).mean())
