"""A packed model: the graph of a trained network, run without training code, and its file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import Conv, Filters, Flatten, Graph, Reshape, Softmax
from ..graph.graph import Array, Float
from ..graph.int8 import Int8
from ..modelfile import PACKED, StorageError, container, graphs
from ..modelfile.info import DataInfo
from .pixels import as_input, pixels_of
from .weights import rounded, with_weights, without_weights

if TYPE_CHECKING:
    from .engine import Engine, Timing


class PackedModel:
    """A trained network with one bit per binary weight.

    Any number of Python threads may call one model. The first call on images of a shape makes a plan with all arrays
    for it; later ones allocate nothing but their result. Changing the arrays of ``graph`` afterwards has no effect.

    Attributes
    ----------
    graph : binnet.graph.Graph
    info : DataInfo
        Normalisation, class names, provenance.
    real : str
        ``"float32"``, ``"float16"`` or ``"int8"``: how the file holds the weights of real layers, see
        :func:`binnet.pack`. In a model in eight bits some layers may have stayed float32.
    built : dict or None
        The description that the network was built from, as :class:`binnet.models.ModelSpec` gives it; None when it is
        unknown. It is provenance and changes nothing.
    """

    def __init__(
        self, graph: Graph, info: DataInfo, real: str = "float32", built: dict[str, Any] | None = None
    ) -> None:
        self._graph, self.info, self.built = graph, info, built
        self.real = "int8" if any(isinstance(node, Int8) for node in graph) else real
        info.check(self.in_channels, self.num_classes)
        self._lock = threading.Lock()
        self._made: Engine | None = None

    def __call__(self, x: Any) -> Float:
        """Images (N, H, W, C) to the network's result, logits float32 (N, num_classes) for a classifier.

        Parameters
        ----------
        x
            Normalised images of real numbers, or uint8 pixels 0..255. A model with :attr:`takes_pixels` reads pixels as
            they are, and makes the nearest pixels of normalised images. Any other model normalises pixels first, with
            ``info.mean`` and ``info.std``.

        Raises
        ------
        TypeError, ValueError
            When the images have the wrong type or shape, are not finite, are pixels of unknown normalisation, or are
            to become pixels and lie more than half a pixel outside 0..255.
        """
        images = self._images(x)
        if len(images):
            return self._engine(images)
        return np.zeros((0, *self._graph.result), np.float32)

    def predict(self, images: Any, top: int = 5) -> Any:
        """The most probable classes of an image, or of several.

        Parameters
        ----------
        images
            An image file, or an array (H, W, C) as the model takes it; or a list of either, or an array (N, H, W, C).
            Files of any size are prepared as the images that the model was trained on.
        top
            Number of classes to name, at least 1.

        Returns
        -------
        list of (class name, probability)
            Best first; a list of such lists for several images. A class without a name has its number.

        Raises
        ------
        TypeError, ValueError
            As when the model is called, and when the normalisation is unknown or the result is no row of classes.
        binnet_datasets.DataError
            When a file cannot be read.
        """
        from .predict import predict

        return predict(self, images, top)

    def preprocess(self, images: Any) -> Array:
        """Images as the network takes them: resized, cut to the model's size, and normalised unless it takes pixels.

        Parameters
        ----------
        images
            As for :meth:`predict`, where arrays are uint8 pixels 0..255 of the model's size.

        Returns
        -------
        float32 (N, H, W, C), or uint8 for a model with :attr:`takes_pixels`
            N is 1 for a single image.

        Raises
        ------
        TypeError, ValueError, binnet_datasets.DataError
            As :meth:`predict`, and when the images do not fit the network.
        """
        from .predict import preprocess

        return self._images(preprocess(self, images))

    def profile(self, x: Any) -> list[Timing]:
        """The time and GMAC/s of each stage on images (N, H, W, C) as for a call, N at least 1, run once.

        Raises
        ------
        TypeError, ValueError
            As when the model is called.
        """
        images = self._images(x)
        if not len(images):
            raise ValueError("a profile needs at least one image")
        return self._engine.profile(images)

    # ---- what it is

    @property
    def graph(self) -> Graph:
        """The graph. A model that has run keeps its weights in the kernels' order; they are converted back here."""
        with self._lock:
            if self._made is None:
                return self._graph
            weights = self._made.weights()
            nodes = (with_weights(n, weights[n.name]) if isinstance(n, Filters) else n for n in self._graph.nodes)
            return Graph(tuple(nodes))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        return self._graph.input.shape

    @property
    def takes_pixels(self) -> bool:
        """Whether the network reads uint8 pixels, so that normalisation is part of its first layers."""
        return self._graph.input.pixels

    @property
    def image_size(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.input_shape[:2]

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return self.input_shape[2]

    @property
    def num_classes(self) -> int:
        """Length of the last axis of the result."""
        return self._graph.result[-1]

    @property
    def gives_probabilities(self) -> bool:
        """Whether the network ends in a softmax, so that its results are probabilities, not logits."""
        node = self._graph.nodes[-1]
        while isinstance(node, Flatten | Reshape):
            node = self._graph[node.inputs[0]]
        return isinstance(node, Softmax)

    @property
    def fixed_size(self) -> bool:
        """Whether only images of its own size fit."""
        return not self._graph.input.any_size

    @property
    def name(self) -> str:
        """Name of the network that was packed, or ``"network"`` when it is unknown."""
        return str((self.built or {}).get("name", "network"))

    @property
    def title(self) -> str:
        """Its name and how it is binarised, as far as known."""
        return ", ".join(str(self.built[key]) for key in ("name", "binarize")) if self.built else self.name

    # ---- the file

    def arrays(self) -> dict[str, Array]:
        """All arrays by ``node.field``, with the dtypes that they have in the file."""
        return self._parts()[1]

    def with_real(self, real: str) -> PackedModel:
        """The same model with its real weights as ``"float32"`` or ``"float16"``, see :func:`binnet.pack`.

        ValueError for a model in eight bits, whose real weights are lost; :func:`binnet.quantise.quantise` makes one.
        """
        if self.real == "int8":
            raise ValueError(f"a model in eight bits cannot have {real} weights again; pack the checkpoint instead")
        return PackedModel(rounded(self.graph, real), self.info, real, self.built)

    def to_bytes(self) -> bytes:
        """The contents of the model's file."""
        return container.to_bytes(PACKED, *self._stored())

    def save(self, path: str | Path) -> None:
        """Write the model's file atomically; StorageError when that fails."""
        container.save(path, PACKED, *self._stored())

    def _parts(self) -> tuple[list[dict[str, Any]], dict[str, Array]]:
        nodes, arrays = graphs.to_parts(self.graph)
        if self.real == "float16":
            for node in self._graph.nodes:
                if isinstance(node, Conv):
                    name = f"{node.name}.weight"
                    arrays |= {name: arrays[name].astype(np.float16)} if name in arrays else {}
        return nodes, arrays

    def _stored(self) -> tuple[dict[str, Array], dict[str, Any]]:
        nodes, arrays = self._parts()
        keys = {"trained_on": self.info.trained_on} if self.info.trained_on.size else {}
        return {**arrays, **keys}, {"graph": nodes, "data": self.info.to_dict(), "built": self.built}

    def __getstate__(self) -> tuple[Any, ...]:
        """The state for pickling and copying: everything except the lock and the plans, which are recreated."""
        return self.graph, self.info, self.real, self.built

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    # ---- running

    @property
    def _engine(self) -> Engine:
        """The engine, made when it is first needed: a model that is only saved or listed compiles nothing."""
        # Imports Numba, which takes 0.2 s, and which saving or listing a model does not need.
        from .engine import Engine

        with self._lock:
            if self._made is None:
                self._made = Engine(self._graph)
                kept = (without_weights(node) if isinstance(node, Filters) else node for node in self._graph.nodes)
                self._graph = Graph(tuple(kept))
            return self._made

    def _images(self, x: Any) -> Array:
        """Images as the engine takes them, checked: uint8 pixels for a network that reads these, else float32."""
        x = np.asarray(x)
        if x.dtype.kind in "iub":
            x = self._pixels(x)
        if x.dtype.kind != "f" and not (self.takes_pixels and x.dtype == np.uint8):
            raise TypeError(f"images must be real numbers, got {x.dtype}")
        self._check_shape(x)
        if x.dtype == np.uint8:
            return np.ascontiguousarray(x)
        images = np.ascontiguousarray(x, np.float32)
        if not _is_finite(images):
            raise ValueError("images must be finite, got NaN or infinity")  # a sign would hide it
        return pixels_of(images, *self.info.normalisation()) if self.takes_pixels else images

    def _pixels(self, pixels: Array) -> Array:
        """uint8 pixels, normalised with the mean and deviation of training unless the network reads pixels."""
        if pixels.dtype != np.uint8:
            raise TypeError(f"images must be normalised real numbers, or pixels as uint8, got {pixels.dtype}")
        self._check_shape(pixels)
        return as_input(self, pixels)

    def _check_shape(self, x: Array) -> None:
        h, w, c = self.input_shape
        if x.ndim != 4 or x.shape[3] != c or (self.fixed_size and x.shape[1:3] != (h, w)):
            rows = f"{h}, {w}" if self.fixed_size else "H, W"
            raise ValueError(f"images must be (N, {rows}, {c}), got {x.shape}")


MOST_LETTERS = 200  # of a sentence about a damaged file


def _is_finite(images: Float) -> bool:
    """Whether all values are finite. The sum tells in most cases, at less than the cost of looking at each value."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(images.sum())) or bool(np.isfinite(images).all())


def load(path: str | Path) -> PackedModel:
    """Read a packed model: a file, or one that comes with binnet by its name, such as ``"quick2-tiny20"``.

    Raises
    ------
    StorageError
        In one sentence, when the file is missing, damaged or something else.
    """
    if not Path(path).is_file():
        from .. import shipped

        path = shipped.find(path)
    _, arrays, description = container.load(path, PACKED)
    return from_parts(path, arrays, description)


def from_parts(path: str | Path, arrays: dict[str, Array], description: dict[str, Any]) -> PackedModel:
    """A packed model from what its file holds; StorageError that names ``path`` when it does not fit together."""
    try:
        if set(description) != {"graph", "data", "built"}:
            raise ValueError("its description does not have the right fields")
        keys, built = arrays.pop("trained_on", None), description["built"]
        _check_built(built)
        graph, real = graphs.from_parts(description["graph"], arrays)
        info = DataInfo.from_dict(description["data"], keys)
        return PackedModel(graph, info, real, built)
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise StorageError(f"{path} is damaged: {_reason(error)}") from error


def _check_built(built: Any) -> None:
    """ValueError unless it is null, or an object with what :attr:`PackedModel.title` shows."""
    words = [built.get(name) for name in ("name", "binarize")] if isinstance(built, dict) else [None]
    if built is not None and not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError("built must be null, or an object with name and binarize")


def _reason(error: BaseException) -> str:
    """The message of an error on one line, shortened, as it may quote the file."""
    text = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
    line = "".join(c if c.isprintable() else " " for c in text[:MOST_LETTERS])
    return line if len(text) <= MOST_LETTERS else f"{line} …"
