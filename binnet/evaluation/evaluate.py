"""Running a trained model, packed or not, on images with labels."""

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
from ..autograd import Tensor, no_grad
from ..engine import PackedModel
from ..engine.preprocessing import view_of
from ..modelfile import CHECKPOINT, StorageError, container
from ..modelfile.info import DataInfo
from ..models import ModelSpec, Network, build_spec, check_images
from ..models.own_network import OwnNetwork, OwnNetworkError, rebuild
from ..nn import Module, init
from ..ops import cross_entropy
from ..packing import pack

Ints = npt.NDArray[np.int64]
Tick = Callable[[int], None]
MOST_VALUES = 1 << 22  # of a batch to evaluate: activations take many times the memory of images


@dataclass(frozen=True)
class Model:
    """A model from a file of either kind, ready to run.

    Attributes
    ----------
    kind : str
        ``CHECKPOINT`` or ``PACKED``.
    info : DataInfo
    logits : function of float32 (N, H, W, C) to float32 (N, num_classes)
    packed : PackedModel
        The model itself, or what it packs to.
    network : Module or None
        With the real weights, in evaluation mode; None for a packed model.
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
    def num_classes(self) -> int:
        """Number of classes."""
        return self.packed.num_classes

    def require_classifier(self, file: object) -> None:
        """ValueError that names the file unless the model gives a score for each class and knows its normalisation."""
        self.info.normalisation(file)
        result = self.packed.graph.result
        if len(result) != 1:
            shape = f"(N, {', '.join(map(str, result))})"
            raise ValueError(f"{file} gives {shape} for images, expected scores (N, classes)")


def open_model(path: str | Path, own: OwnNetwork | str | None = None) -> Model:
    """Open a checkpoint or a packed model, that of a run folder, or one that comes with binnet by its name.

    A checkpoint of a network of one's own needs ``own``, see :func:`binnet.models.own_network.rebuild`. StorageError,
    or OwnNetworkError, in one sentence, when that is not possible.
    """
    path = model_file(path)
    kind, arrays, description = container.load(path)
    if kind == CHECKPOINT:
        spec, network, info = restore(path, arrays, description, own)
        packed = pack_network(network, spec, info)
        return Model(kind, info, _logits(run(network), packed), packed, network)
    model = engine.from_parts(path, arrays, description)
    return Model(kind, model.info, _logits(model, model), model)


def _logits(result: Callable[[Float], Float], packed: PackedModel) -> Callable[[Float], Float]:
    """What gives logits: of a network that ends in a softmax the logarithms of its probabilities, 0 as the least."""
    if not packed.gives_probabilities:
        return result
    least = np.finfo(np.float32).smallest_subnormal
    return lambda x: np.log(np.maximum(result(x), least))


def model_file(path: str | Path, name: str = "packed.h5") -> Path:
    """The file of a model: in a run folder the one of this name, else as :func:`binnet.shipped.find` finds it.

    Raises
    ------
    StorageError
        When there is no such file, or a run folder does not hold it yet.
    """
    path = Path(path)
    if not path.is_dir() or (not (path / "config.toml").is_file() and not (path / name).is_file()):
        return shipped.find(path)
    if not (path / name).is_file():
        there = [other for other in ("best.h5", "last.h5") if (path / other).is_file()]
        instead = f"; it holds {' and '.join(there)}" if there else ""
        raise StorageError(f"the run folder {path} holds no {name}{instead}")
    return path / name


def pack_network(network: Module, spec: ModelSpec, info: DataInfo) -> PackedModel:
    """Pack what a training built, whether by :mod:`binnet.models` or by a file of one's own."""
    model = pack(network, info, input_shape=(*spec.image_size, spec.in_channels))
    return PackedModel(model.graph, model.info, built=spec.provenance())


def restore(
    path: str | Path, arrays: dict[str, Any], description: dict[str, Any], own: OwnNetwork | str | None = None
) -> tuple[ModelSpec, Module, DataInfo]:
    """The network in a checkpoint, in evaluation mode, with its description and what it knows about its data."""
    try:
        spec = ModelSpec.from_dict(description["model"])
        info = DataInfo.from_dict(description["data"], arrays.get("trained_on"))
        info.check(spec.in_channels, spec.num_classes)
        prefix = "network."
        state = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
        if spec.source is None:
            with init.outline(limit=sum(array.size for array in state.values())):
                build_spec(spec)  # before memory is taken for it
        network = rebuild(path, spec, own)
        network.load_state_dict(state)
    except OwnNetworkError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error
    if isinstance(network, Network):
        spec = network.spec  # with all options, also later ones
    return spec, network.eval(), info


def run(network: Module) -> Callable[[Float], Float]:
    """A network as a function of arrays, in whatever mode it is in, without a graph."""

    def logits(x: Float) -> Float:
        check_images(x)
        with no_grad():
            return network(Tensor(x)).numpy()

    return logits


@dataclass(frozen=True)
class Scores:
    """How well a model did.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, nats.
    top1, top5 : float
        Share of images whose label is the most probable class, or among the five most probable, 0 to 1.
    n : int
        Number of images.
    predictions : int64 (n,)
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
        """Share of the images of each class that are predicted right, float32 (num_classes,); NaN without images."""
        counts = self.confusion.sum(axis=1)
        right = np.where(counts, self.confusion.diagonal() / np.maximum(counts, 1), np.nan)
        return right.astype(np.float32)

    @property
    def balanced(self) -> float:
        """Mean recall of the classes that have images."""
        counts = self.confusion.sum(axis=1)
        there = counts > 0
        return float((self.confusion.diagonal()[there] / counts[there]).mean())

    def to_dict(self) -> dict[str, Any]:
        """Figures ready for JSON."""
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
) -> Scores:
    """Run a model over a split; the next batch is made in the background meanwhile.

    Parameters
    ----------
    logits
        The model.
    split
        Images and labels.
    info
        Says how images are prepared and normalised.
    batch_size
        Images at a time; None for 256, or fewer of more than 74 x 74 colour pixels.
    tick
        Called with the number of images after each batch.
    image_size
        Rows and columns the model takes: a part of larger images, see :func:`binnet.engine.preprocessing.view_of`. None
        for the images' own.

    Raises
    ------
    ValueError
        When the split is empty, or an argument is none of these.
    """
    if not len(split):
        raise ValueError("there are no images to evaluate on")
    loss, parts = 0.0, []
    if batch_size is None:
        batch_size = _default_batch(image_size or split.uniform_size, split.channels)
    mean, std = info.normalisation()
    view = view_of(info, split, image_size)
    for images, labels in Loader(split, batch_size, mean=mean, std=std, view=view).epoch():
        parts.append(logits(images))
        loss += float(cross_entropy(Tensor(parts[-1]), labels).item()) * len(labels)
        if tick:
            tick(len(labels))
    return _scores(np.concatenate(parts), split.labels, loss / len(split))


def _default_batch(image_size: tuple[int, int] | None, channels: int) -> int:
    """How many images to run at a time when nobody says: 256, or fewer of large images."""
    return max(1, min(256, MOST_VALUES // (math.prod(image_size or (1, 1)) * channels)))


def _scores(logits: Float, labels: Ints, loss: float) -> Scores:
    predictions = logits.argmax(axis=1)
    confusion = np.zeros((logits.shape[1],) * 2, np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    return Scores(
        loss, float((predictions == labels).mean()), in_top(logits, labels, 5), len(labels), predictions, confusion
    )


def in_top(logits: Float, labels: Ints, k: int) -> float:
    """Share of rows whose label is among the ``k`` largest logits; of equal ones the lower class comes first."""
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((order == labels[:, None]).any(axis=1).mean())
