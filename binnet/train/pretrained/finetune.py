"""Fine-tuning: begin a network with the arrays of a trained model that fit by name and shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_datasets import DataError, Dataset

from ...evaluation.matching import labels_by_class
from ...modelfile import PACKED, StorageError
from ...modelfile.info import DataInfo
from ...models import ModelSpec
from ...nn import BatchNorm, BinaryLayer, Conv2d, Linear, Module, Parameter
from ...nn.real_weights import SignConv2d, SignLinear
from ...ops.binarize import _Sign
from ...ops.lowbit.quantise import _Quantise
from ...ops.xnor_conv import _NormXnorConv2d, _XnorConv2d
from .forward import calls, classifier
from .model import Pretrained
from .unpacking import has_scales, stored, unpacked

Array = npt.NDArray[Any]
_OF_FEW_BITS = (_NormXnorConv2d, _Quantise, _Sign, _XnorConv2d)  # operations with inputs or results of few bits
_LAYERS = (BinaryLayer, Conv2d, Linear, SignConv2d, SignLinear)
_SHOWN = 8  # maximum number of array names in a message


@dataclass(frozen=True)
class Start:
    """Record of a network's initialisation, stored in checkpoints so that resuming does not need the model file.

    Attributes
    ----------
    file, kind : str
        Those of the :class:`Pretrained` model.
    taken, new : tuple of str
        Names of the network's arrays that came from the file, and of those with fresh values.
    mean, std : tuple of float, or None
        Normalisation of the pretrained model, which the training keeps because its first layer was trained on it. None
        when the file has none or is for another number of channels.
    """

    file: str
    kind: str
    taken: tuple[str, ...]
    new: tuple[str, ...]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Start:
        """The inverse of :meth:`to_dict`; TypeError or KeyError when the fields are not the right ones."""
        names = {key: tuple(map(str, values[key])) for key in ("taken", "new")}
        mean, std = (None if values[key] is None else tuple(map(float, values[key])) for key in ("mean", "std"))
        return cls(str(values["file"]), str(values["kind"]), **names, mean=mean, std=std)

    def sentence(self) -> str:
        """A sentence for the log: which arrays were taken and which are new."""
        arrays = len(self.taken) + len(self.new)
        new = f"new: {some(self.new)}" if self.new else "nothing is new"
        return f"from {self.file} ({self.kind}): {len(self.taken)} of {arrays} arrays; {new}"


def begin(network: Module, spec: ModelSpec, pretrained: Pretrained, dataset: Dataset) -> Start:
    """Copy the arrays that fit by name and shape into a network that is to be trained on a data set.

    The classifier, which is the last weight with at least two axes in a forward pass and what is used with or after
    it, stays fresh where the classes have other names and identifiers. Where the same classes are in another order, so
    are its rows; it stays fresh when its weight is not that of one of binnet's layers. Normalisations stay fresh where
    a packed model has sums of other sizes: signs for inputs where the network's are real, or scales that the network
    does not have. Their factors are for those sums, and the packed model does not have the variances that would tell
    the factors for others. Random states of layers, such as dropout, are not taken.

    Parameters
    ----------
    network
        The network that is changed.
    spec
        Its specification.
    pretrained
        The model with the arrays.
    dataset
        The data to train on: its classes and channels.

    Returns
    -------
    Start
        Names of the arrays that were taken and of new ones, and the model's normalisation where it fits the channels.

    Raises
    ------
    StorageError
        When no array fits, or one that does is not finite; when weights of several bits are to be centred.
    """
    order, of_classes = _order(pretrained.info, dataset), classifier(network, spec)
    if not _has_rows(network, of_classes) and not _is_identity(order):
        order = None  # which axis of the weight is that of the classes is not known
    taken, new, misfits = {}, [], []
    for name, own, value in _candidates(network, spec, pretrained):
        if value is None or value.shape != own.shape:
            misfits.append(_misfit(name, own, value))
            new.append(name)
        elif name in of_classes and order is None:
            new.append(name)
        else:
            if not np.isfinite(value).all():
                raise StorageError(f"{pretrained.file} is damaged: {name} has values that are not finite")
            taken[name] = value[order] if name in of_classes and len(value) == dataset.num_classes else value
    if not taken:
        reason = misfits[0] if misfits else "it has a classifier alone, and the classes are others"
        raise StorageError(f"no array of {pretrained.file} fits this network by name and shape: {reason}")
    network.load_state_dict(taken, strict=False)
    mean, std = pretrained.info.mean, pretrained.info.std
    fits = mean is not None and len(mean) in (1, dataset.channels)
    return Start(
        pretrained.file, pretrained.kind, tuple(taken), tuple(new), mean if fits else None, std if fits else None
    )


def _order(info: DataInfo, dataset: Dataset) -> Any:
    """The model's label of each class of the data: what orders the classifier's rows; None where classes differ."""
    count = len(info.class_names)
    if not count:
        return slice(None)
    try:
        labels, _ = labels_by_class(info, count, dataset)
    except DataError:
        return None
    return labels if sorted(labels.tolist()) == [*range(count)] else None


def _is_identity(order: Any) -> bool:
    return isinstance(order, slice) or (order is not None and order.tolist() == [*range(len(order))])


def _has_rows(network: Module, names: Collection[str]) -> bool:
    """Whether the classifier's weights are those of binnet's layers, which have the classes on their first axis."""
    own = {f"{path}.".lstrip(".") for path, module in network.named_modules() if isinstance(module, _LAYERS)}
    state = network.state_dict()
    return all(name.removesuffix("weight") in own for name in names if name in state and state[name].ndim >= 2)


def _misfit(name: str, own: Array, value: Array | None) -> str:
    there = "has none that fits" if value is None else f"has one of shape {value.shape}"
    return f"the network's {name} has shape {own.shape}, and the model {there}"


def _candidates(network: Module, spec: ModelSpec, pretrained: Pretrained) -> Iterator[tuple[str, Array, Array | None]]:
    """Yield the name of each real array of a network, the array, and the pretrained one of this name or None."""
    state, skipped = network.state_dict(), _sums_differ(network, spec, pretrained)
    for path, module in network.named_modules():
        prefix = f"{path}." if path else ""
        for name, own in _arrays(module).items():
            if prefix + name not in state:  # another name of a shared parameter
                continue
            is_skipped = skipped and isinstance(module, BatchNorm)
            yield prefix + name, own, None if is_skipped else _found(pretrained, prefix, name, module)


def _found(pretrained: Pretrained, prefix: str, name: str, module: Module) -> Array | None:
    """The pretrained array of a layer; a learned scale that the model does not have is that of its weights (Eq. 6)."""
    find = unpacked if pretrained.kind == PACKED else stored
    value = find(pretrained.arrays, prefix, name, module)
    if value is None and name == "alpha" and isinstance(module, BinaryLayer):
        weight = find(pretrained.arrays, prefix, "weight", module)
        if weight is not None and weight.shape == module.weight.shape:
            return module.first_alpha(weight)
    return value


def _sums_differ(network: Module, spec: ModelSpec, pretrained: Pretrained) -> bool:
    """Whether sums of the network have other sizes than those of the packed model: its normalisations do not fit then.

    They have in a network with real inputs where the model's have few bits, and in layers without scales where the
    model's have some.
    """
    if pretrained.kind != PACKED:
        return False
    if pretrained.takes_signs and not any(call.function in _OF_FEW_BITS for call in calls(network, spec)[1]):
        return True
    return any(
        has_scales(pretrained.arrays, f"{path}." if path else "", module)
        for path, module in network.named_modules()
        if isinstance(module, BinaryLayer) and module.weight_binariser.scale == "none"
    )


def _arrays(module: Module) -> dict[str, Array]:
    """The parameters and floating-point buffers of a module itself, without those of its submodules, by name."""
    found = {name: value.array for name, value in vars(module).items() if isinstance(value, Parameter)}
    buffers = {name: getattr(module, name) for name in module.buffer_names}
    return found | {name: array for name, array in buffers.items() if array.dtype.kind == "f"}


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are, for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
