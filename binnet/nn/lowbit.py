"""Layers of several bits and with rounded gradients: what plugs into the binary layers beside the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from binnet_kernels.lowbit.rounding import Rounding

from .. import ops
from ..autograd import Tensor
from ..ops.lowbit import RoundedGradient, quantise
from ..ops.xnor_conv import SIGNS, InputBinariser
from . import init
from .module import Module


class Quantise(Module):
    """The activation of ``bits`` bits: levels from −1 to +1, with a clipped straight-through gradient.

    In training it refuses NaN and infinities (LayerError).
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            ops.check_finite(x.array)  # NaN becomes a level like any other
        return quantise(x, self.bits)


class GradientRounding(Module):
    """Input binariser of a layer whose gradient is rounded, so that its backward pass is binary too.

    Its random numbers are a function of ``seed`` and of the number of training passes so far, both buffers as in
    :class:`binnet.nn.Dropout`.

    Parameters
    ----------
    how, bits
        See :func:`binnet_kernels.quantise_gradient`.
    seed
        Whole numbers; None for a seed of this layer's own.
    signs
        How inputs become signs: an InputBinariser, no subclass.

    Raises
    ------
    TypeError, ValueError
        For other ``signs``, unknown words and numbers of bits out of range.
    """

    buffer_names = ("seed", "step")

    def __init__(self, how: str, bits: int, seed: Sequence[int] | None = None, signs: InputBinariser = SIGNS) -> None:
        super().__init__()
        Rounding.of(how, bits, 0)
        if type(signs) is not InputBinariser:
            raise TypeError(f"signs must be an InputBinariser, whose gradient is rounded, got {signs!r}")
        # Buffers, so that training that goes on from a checkpoint draws what training that never stopped would.
        self.how, self.bits, self.signs, self.seed = how, bits, signs, init.make_seed(seed)
        self.step = np.zeros((), np.int64)

    @property
    def needs_bits_only(self) -> bool:
        """See :class:`binnet.ops.InputBinariser`."""
        return self.signs.needs_bits_only

    def for_pass(self) -> RoundedGradient:
        """The rounding of the pass that begins now; each call in training counts as a pass."""
        seed = np.random.SeedSequence([*self.seed.tolist(), int(self.step)]).generate_state(1, np.uint64)[0]
        self.step += self.training  # evaluation leaves the state as it is
        return RoundedGradient(**asdict(self.signs), how=self.how, bits=self.bits, seed=int(seed))
