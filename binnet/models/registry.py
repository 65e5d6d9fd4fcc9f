"""The networks by name, those of the paper first, and how they are built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from binnet_kernels.checks import Pair, pair

from ..nn import MODES, BinaryOptions, Blocks, Named, ShortcutOptions
from ..nn.options import check_word
from . import own_options as own_words
from .alexnet import alexnet
from .beyond.birealnet18 import BI_REAL, REACT, birealnet18
from .beyond.quick import quick
from .beyond.quick2 import quick2
from .cifar_vgg import cifar_vgg
from .googlenet import googlenet
from .lenet5 import lenet5
from .nin import nin
from .resnet18 import resnet18
from .spec import ModelSpec, Network


@dataclass(frozen=True)
class Entry:
    """A network that can be built.

    Attributes
    ----------
    layers
        ``layers(blocks, num_classes, in_channels, image_size, **own_options)``; its keyword-only arguments, which must
        have defaults, are the model's own options. With ``shortcuts`` these come before the own options.
    image_size
        Rows and columns unless ``build`` is told others.
    fixed_size
        See :class:`Network`.
    shortcuts
        Of the blocks of networks with a shortcut around each convolution: its fields are options of the model as well.
    """

    layers: Callable[..., list[Named]]
    image_size: tuple[int, int]
    fixed_size: bool = True
    shortcuts: ShortcutOptions | None = None

    def own_options(self) -> dict[str, Any]:
        """Names and defaults of the options that only this model has."""
        parameters = inspect.signature(self.layers).parameters.values()
        found = {} if self.shortcuts is None else asdict(self.shortcuts)
        return found | {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def build(self, blocks: Blocks, sizes: tuple[int, int, tuple[int, int]], own: Mapping[str, Any]) -> list[Named]:
        """The layers; ``sizes``: classes, channels and image size; ``own``: all options that only this model has."""
        if self.shortcuts is None:
            return self.layers(blocks, *sizes, **own)
        names = [field.name for field in fields(self.shortcuts)]
        shortcuts = ShortcutOptions(**{name: own[name] for name in names})
        return self.layers(blocks, *sizes, shortcuts, **{name: own[name] for name in own if name not in names})


REGISTRY: dict[str, Entry] = {
    "lenet5": Entry(lenet5, (28, 28)),
    "nin": Entry(nin, (32, 32), fixed_size=False),
    "cifar_vgg": Entry(cifar_vgg, (32, 32)),
    "alexnet": Entry(alexnet, (224, 224)),
    "resnet18": Entry(resnet18, (224, 224), fixed_size=False),
    "googlenet": Entry(googlenet, (224, 224), fixed_size=False),
    "quick": Entry(quick, (64, 64), fixed_size=False),
    "birealnet18": Entry(birealnet18, (224, 224), shortcuts=BI_REAL),
    "reactnet18": Entry(birealnet18, (224, 224), shortcuts=REACT),
    "quick2": Entry(quick2, (64, 64), shortcuts=REACT),
}


def names() -> tuple[str, ...]:
    """The names that :func:`build` knows."""
    return tuple(REGISTRY)


def own_options(name: str, text: str) -> dict[str, Any]:
    """The options that only the network ``name`` has, from ``NAME=VALUE`` with commas between.

    Raises
    ------
    ValueError
        For another form, and for options that the network has not, listing those it has.
    """
    check_word("model", name, names())
    defaults = REGISTRY[name].own_options()
    if not defaults:
        raise ValueError(f"{name} has no options of its own, got {text!r}")
    return own_words.parse(text, defaults)


def written_own_options(name: str, options: Mapping[str, Any], full: bool = False) -> str | None:
    """The inverse of :func:`own_options` for options that differ from their defaults, or with ``full`` for all."""
    return own_words.written(options, REGISTRY[name].own_options(), full)


def build(
    name: str,
    binarize: str = "xnor",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: Pair | None = None,
    seed: int = 0,
    **options: Any,
) -> Network:
    """A network with fresh weights.

    Parameters
    ----------
    name
        One of :func:`names`.
    binarize
        One of ``MODES``: ``"float"``, ``"bwn"``, ``"xnor"``, ``"bnn"`` or ``"binaryconnect"``.
    num_classes, in_channels
        At least 1.
    image_size
        Side of the images, or (rows, columns); None for the model's own.
    seed
        The same seed gives the same bits, whatever else was drawn before.
    **options
        Fields of :class:`binnet.nn.BinaryOptions`, and the model's own options (such as ``dropout`` of ``lenet5``).

    Raises
    ------
    ValueError
        For wrong words, listing those there are, and for numbers out of range.
    """
    check_word("model", name, names())
    check_word("binarize", binarize, MODES)
    entry = REGISTRY[name]
    own, binary = _split(options, entry.own_options())
    size = entry.image_size if image_size is None else pair(image_size, "image_size", 1)
    for word, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{word} must be a whole number, at least 1, got {value!r}")
    spec = ModelSpec(name, binarize, num_classes, in_channels, size, {**binary.to_dict(), **own})
    layers = entry.build(Blocks(binarize, binary, seed), (num_classes, in_channels, size), own)
    return Network(spec, layers, entry.fixed_size)


def build_spec(spec: ModelSpec, seed: int = 0) -> Network:
    """A new network of this description; ValueError for a custom network, whose code is not run from here."""
    if spec.source is not None:
        raise ValueError(f"{spec.name} is a custom network, which only its file can build")
    size = spec.image_size
    return build(spec.name, spec.binarize, spec.num_classes, spec.in_channels, size, seed, **spec.options)


def _split(options: dict[str, Any], own_defaults: dict[str, Any]) -> tuple[dict[str, Any], BinaryOptions]:
    """The model's own options, defaults filled in, and those of the binary layers."""
    known = [*BinaryOptions().to_dict(), *own_defaults]
    for option in options:
        check_word("option", option, known)
    # The defaults go into the description, too: a file must not depend on those of a later version.
    own = {name: options.get(name, default) for name, default in own_defaults.items()}
    return own, BinaryOptions.of({name: value for name, value in options.items() if name not in own})
