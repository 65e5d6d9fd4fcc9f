"""The choices a binary layer leaves open, as flat words, and the objects that layers take for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..ops.binarize import WeightBinariser
from ..ops.lowbit import InputQuantiser, WeightQuantiser
from ..ops.xnor_conv import InputBinariser
from .lowbit import GradientRounding

MODES = ("float", "bwn", "xnor", "bnn", "binaryconnect")

# The first word of each is the default. Command line, configuration and model files list and check these words.
CHOICES: dict[str, tuple[str | int | bool, ...]] = {
    "weight_gradient": ("exact", "paper", "plain"),
    "use_k": (False, True),
    "scale": ("mean", "learned"),
    "order": ("bacp", "cbap"),
    "clip": (True, False),
    "center": (False, True),
    "ste": ("clip", "polynomial"),
    "pad_value": (0, 1, -1),
    "classifier": ("real", "one-bit"),
    "binary_gradient": ("off", "ternary", "even", "paper"),
    "grad_bits": (1, 2, 3, 4, 5, 6, 7, 8),
    "weight_bits": (1, 2, 3, 4, 5, 6, 7, 8),
    "act_bits": (1, 2, 3, 4, 5, 6, 7, 8),
    "weights": ("binary", "real"),
}

_BINARY = ("bwn", "xnor", "bnn", "binaryconnect")
BINARY_INPUTS = ("xnor", "bnn")  # the modes whose layers take signs

# The modes in which an option has an effect.
USED_IN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("weight_gradient", "clip", "center", "classifier"), _BINARY),
    "scale": ("xnor", "bwn"),
    "use_k": ("xnor",),
    **dict.fromkeys(("order", "ste", "pad_value", "binary_gradient", "grad_bits"), BINARY_INPUTS),
    **dict.fromkeys(("weight_bits", "act_bits", "weights"), BINARY_INPUTS),
}


@dataclass(frozen=True)
class BinaryOptions:
    """Options of binary layers; the defaults follow arXiv:1603.05279, except that K is off.

    A mode takes those that :data:`USED_IN` lists for it and passes over the rest: ``bwn`` and ``binaryconnect`` use
    ``weight_gradient``, ``clip``, ``center`` and ``classifier``, ``bwn`` also ``scale``; ``bnn`` everything but
    ``scale`` and ``use_k``; ``float`` nothing. A one-bit classifier uses ``scale`` in every mode but ``float``. So k
    bits are for weights that meet inputs of few bits only.

    Attributes
    ----------
    weight_gradient
        ``"exact"`` (chain rule), ``"paper"`` (as printed in section 3.1) or ``"plain"`` (as in Algorithm 1); see
        :func:`binnet.ops.grad_weight`.
    use_k
        Multiply by the map K of the input's magnitude (Eq. 11). Leaving it out costs less than 1 % top-1 on ImageNet.
    scale
        α: ``"mean"`` of |W| (Eq. 6), or ``"learned"``, starting from there (table 3: worse).
    order
        Of a block: ``"bacp"`` = BNorm–BinActiv–BinConv–Pool (figure 3), or ``"cbap"``, the usual one (table 3: worse).
    clip
        Keep real weights within ±1 (authors' code; not in the paper).
    center
        Subtract the mean over input channels before binarising (authors' code; not in the paper).
    ste
        Gradient of the sign of activations: ``"clip"`` (section 3.1) or ``"polynomial"`` (Bi-Real Net).
    pad_value
        What the border of a binary convolution counts as: 0, +1 or −1.
    classifier
        Weights of the last layer: ``"real"``, or ``"one-bit"`` with α and without a bias, on real inputs.
    binary_gradient
        Whether the gradient that reaches a binary convolution of binary inputs is rounded, so that the convolutions of
        the backward pass are binary as well. ``"off"``: exact. ``"ternary"``: at random to −max|g|, 0 and max|g|, right
        on average. ``"even"``: at random to evenly spaced levels, none of them 0. ``"paper"``: sign(g) max|g|
        (section 3.2), with which networks hardly learn. See :func:`binnet_kernels.quantise_gradient`.
    grad_bits
        Bits of the magnitudes of a ternary gradient (1: the three values above), or of the even levels; 1 to 8. Without
        meaning for the others.
    weight_bits, act_bits
        Bits of the weights and of the inputs of layers with binary inputs, 1 to 8: levels between −1 and +1 in place
        of signs, the q_k of section 3.2 (ADR 0019). The cost is that of weight_bits · act_bits layers of signs. When
        either is above 1 the straight-through gradient of inputs is clipped, whatever ``ste`` says.
    weights
        Of layers with binary inputs: ``"binary"``, or ``"real"``, with which a training in stages begins (ADR 0036).
        Real weights have no scale, and the options of binary weights mean nothing for them.

    Raises
    ------
    ValueError
        On construction, for a value that is not among those listed in ``CHOICES``, for a ``binary_gradient`` where
        weights or inputs have more than one bit, and for real weights with K, several bits or a ``binary_gradient``.
    """

    weight_gradient: str = "exact"
    use_k: bool = False
    scale: str = "mean"
    order: str = "bacp"
    clip: bool = True
    center: bool = False
    ste: str = "clip"
    pad_value: int = 0
    classifier: str = "real"
    binary_gradient: str = "off"
    grad_bits: int = 1
    weight_bits: int = 1
    act_bits: int = 1
    weights: str = "binary"

    def __post_init__(self) -> None:
        for name, words in CHOICES.items():
            check_word(name, getattr(self, name), words)
        if self.levels and self.binary_gradient != "off":
            raise ValueError(
                f"binary_gradient {self.binary_gradient} needs weight_bits and act_bits 1, "
                f"got {self.weight_bits} and {self.act_bits}"
            )

        if self.weights == "real" and (self.levels or self.use_k or self.binary_gradient != "off"):
            raise ValueError("weights real needs weight_bits and act_bits 1, use_k off and binary_gradient off")

    @property
    def levels(self) -> bool:
        """Whether weights or inputs have more than one bit."""
        return (self.weight_bits, self.act_bits) != (1, 1)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> BinaryOptions:
        """From keywords; ValueError listing the options there are when one is unknown."""
        known = [field.name for field in fields(cls)]
        for name in options:
            check_word("option", name, known)
        return cls(**options)

    def for_bwn(self, scaled: bool = True) -> dict[str, Any]:
        """What a layer with real inputs takes by keyword; not ``scaled``: without α."""
        scale = self.scale if scaled else "none"
        return {"weight_binariser": WeightBinariser(scale, self.weight_gradient, self.center, self.clip)}

    def for_xnor(self, scaled: bool = True, seed: Sequence[int] | None = None) -> dict[str, Any]:
        """What a layer with binary inputs takes by keyword.

        Parameters
        ----------
        scaled
            False: without α and K.
        seed
            Of the random numbers in ``binary_gradient``; None for one of the layer's own.
        """
        weights, use_k = self.for_bwn(scaled)["weight_binariser"], self.use_k and scaled
        if self.weight_bits > 1:
            weights = WeightQuantiser(**asdict(weights), bits=self.weight_bits)
        inputs: Any = InputBinariser(self.ste, use_k, self.pad_value)
        if self.levels:
            # The gradient of levels is always clipped, whatever `ste` says.
            inputs = InputQuantiser("clip", use_k, self.pad_value, self.act_bits)
        elif self.binary_gradient != "off":
            inputs = GradientRounding(self.binary_gradient, self.grad_bits, seed, inputs)
        return {"weight_binariser": weights, "input_binariser": inputs}

    def to_dict(self) -> dict[str, Any]:
        """All options by name."""
        return asdict(self)


def check_word(name: str, value: Any, words: Any) -> None:
    """ValueError that lists ``words`` unless ``value`` is one of them, of the same type."""
    # True == 1, but `use_k = 1` in a configuration is a mistake.
    if not any(type(value) is type(word) and value == word for word in words):
        raise ValueError(f"unknown {name} {value!r}; there are: {', '.join(map(str, words))}")
