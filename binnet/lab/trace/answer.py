"""What the whole network answers for the image of a trace, and what its packed form answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ...evaluation.evaluate import logits_of, run
from ...graph.graph import Array
from .source import Source

_NAMED = 5  # classes


@dataclass(frozen=True)
class Answer:
    """The most probable classes of an image.

    Attributes
    ----------
    count : int
        Number of classes that the network tells apart.
    names : tuple of str
        Names of the most probable classes, best first; the number of a class without a name.
    probabilities : tuple of float
        Their probabilities, in [0, 1].
    packed : tuple of float or None
        The probabilities of the same classes in the packed model; None when the network is the packed model itself.
    packed_name : str or None
        Name of the packed model's most probable class; None as for ``packed``.
    """

    count: int
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    packed: tuple[float, ...] | None
    packed_name: str | None

    @property
    def verdict(self) -> str | None:
        """What the packed model says, in words; None when the network is the packed model itself."""
        if self.packed is None:
            return None
        return "the same class" if self.packed_name == self.names[0] else f"another class, {self.packed_name}"


def answer_of(source: Source, x: Array) -> Answer | None:
    """The answer of a network; None when it is untrained, or its result is no row of finite scores of classes.

    Parameters
    ----------
    source
        The network.
    x
        The image as the network takes it, (1, H, W, C).
    """
    model, network = source.model, source.network
    if source.fresh or len(model.graph.result) != 1:
        return None
    packed = _probabilities(logits_of(model, model)(x))
    found = packed if network is None else _probabilities(logits_of(run(network), model)(x))
    if not (np.isfinite(found).all() and np.isfinite(packed).all()):
        return None
    order = np.argsort(-found, kind="stable")[:_NAMED]
    name = model.info.class_name
    return Answer(
        len(found),
        tuple(name(int(i)) for i in order),
        tuple(map(float, found[order])),
        None if network is None else tuple(map(float, packed[order])),
        None if network is None else name(int(packed.argmax())),
    )


def _probabilities(logits: Float) -> npt.NDArray[np.float64]:
    """The softmax of the logits (1, C) of one image, (C,)."""
    # The loss is not used, so any label will do; the kernel gives the softmax as its second result.
    _, probabilities = bk.softmax_cross_entropy(logits, np.zeros(1, np.int64))
    return np.asarray(probabilities[0], np.float64)
