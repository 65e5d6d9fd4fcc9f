"""Networks whose layers can be traced: from files, or untrained ones by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from binnet_kernels.checks import Float

from ... import models, shipped
from ...autograd import Tensor
from ...context import no_grad
from ...engine import PackedModel
from ...evaluation.evaluate import open_model
from ...graph import BwnConv, KbitConv, Node, XnorConv
from ...modelfile.info import DataInfo, Preprocessing
from ...nn import BatchNorm, Module
from ...nn.options import check_word
from ...packing import pack

LARGEST_SIDE = 1024  # maximum image size in pixels, because all arrays before the layer are kept in memory
# Maximum of shifted copies of the image for the statistics of an untrained network, and of their pixels together.
_SHIFTS, _PIXELS = 8, 1 << 19


@dataclass(frozen=True, eq=False)
class Source:
    """A network whose layers can be traced.

    Attributes
    ----------
    name : str
        Name of the file or network.
    model : PackedModel
        The packed network, which computes the same bits.
    network : Module or None
        The network with its real weights; None where only a packed model is known.
    fresh : bool
        Whether the network is untrained.
    """

    name: str
    model: PackedModel
    network: Module | None
    fresh: bool = False

    def layer(self, name: str | None) -> XnorConv:
        """The layer of this name with binary weights and binary inputs; the first one for None.

        Raises
        ------
        ValueError
            When there is no such layer, with a list of the binary layers.
        """
        nodes = {node.name: node for node in self.model.graph}
        binary = {name: node for name, node in nodes.items() if isinstance(node, XnorConv)}
        if not binary:
            raise ValueError(
                f"{self.name} ({self.model.title}) has no layer that multiplies signs with signs, "
                "as xnor and bnn networks of one bit have"
            )
        found = next(iter(binary)) if name is None else name
        if found in binary:
            return binary[found]
        wrong = f"the layer {found!r} is not binary{_because(nodes[found])}" if found in nodes else None
        raise ValueError(f"{wrong or f'there is no layer {found!r}'} in {self.name}; there are: {', '.join(binary)}")


def _because(node: Node) -> str:
    if isinstance(node, KbitConv):
        return f", it has inputs of {node.act_bits} and weights of {len(node.planes)} bits,"
    return ", its weights are but not its input," if isinstance(node, BwnConv) else ""


def open_source(file: str, own: str | None = None) -> Source:
    """Open a checkpoint or packed model; StorageError when that is not possible.

    Parameters
    ----------
    file
        Path of the file or run folder.
    own
        ``FILE.py:FUNCTION`` for the checkpoint of a custom network, see :func:`binnet.models.own_network.rebuild`.
    """
    model = open_model(file, own)
    return Source(Path(file).name, model.packed, model.network)


def named_source(name: str, side: int | None = None) -> Source:
    """A model that comes with binnet, or an untrained network; ValueError with all names for any other name."""
    if name in shipped.names():
        return replace(open_source(str(shipped.path_of(name))), name=name)
    check_word("model", name, (*shipped.names(), *models.names()))
    return fresh_source(name, side)


def fresh_source(name: str, side: int | None = None) -> Source:
    """An xnor network of this name with random weights, for images of this size; ValueError when there is none."""
    check_side(side)
    network = models.build(name, "xnor", image_size=side).eval()
    short = min(network.spec.image_size)
    info = DataInfo("none", (), (0.5,) * 3, (0.25,) * 3, preprocessing=Preprocessing(short, short))
    return Source(name, pack(network, info), network, fresh=True)


def check_side(side: int | None) -> None:
    """Raise ValueError when an image of this size cannot be traced; None is always possible."""
    if side is not None and not 1 <= side <= LARGEST_SIDE:
        raise ValueError(f"the side of the image must lie in 1…{LARGEST_SIDE}, got {side}")


def with_statistics(source: Source, x: Float) -> Source:
    """Set the statistics of an untrained network's normalisations to those of an image and shifted copies of it.

    Without them the input of a binary layer is not centred: after a ReLU all of its signs are +1.

    Parameters
    ----------
    source
        An untrained network; its normalisations are changed in place.
    x : float32 (1, H, W, C)
        The normalised image.

    Returns
    -------
    Source
        The same network, packed with the new statistics.
    """
    network = source.network
    assert network is not None
    norms = [module for _, module in network.named_modules() if isinstance(module, BatchNorm)]
    _, h, w, _ = x.shape
    copies = max(2, min(_SHIFTS, _PIXELS // (h * w)))  # two at least: late layers may have one pixel an image
    batch = np.concatenate([np.roll(x, (i * h // copies, i * w // copies), axis=(1, 2)) for i in range(copies)])
    for norm in norms:
        norm.training, norm.momentum = True, 1.0  # one forward pass then replaces the running statistics
    with no_grad():
        network(Tensor(batch))
    network.eval()
    return replace(source, model=pack(network, source.model.info))
