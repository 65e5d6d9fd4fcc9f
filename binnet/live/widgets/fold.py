"""Scale, batch normalisation and sign after a count, folded into one comparison with a whole number."""

from __future__ import annotations

from typing import Any

import numpy as np

from binnet import Tensor, nn, ops

TAPS, ALPHA = 32, 0.25
LABEL = "The value after scale and batch normalisation over the count of differing bits, and its threshold"
CAPTION = (
    "A filter of n = 32 taps with α = 0.25. The dot product is n − 2d, where d is the popcount; batch "
    "normalisation makes z of it. The next layer needs only the sign of z, so a comparison of d with a whole "
    "number does for all of it. Move the sliders; a negative γ turns the comparison round."
)


def negative(gamma: float, beta: float, mean: float, deviation: float) -> list[bool]:
    """Whether the sign behind a batch normalisation is negative, for each count d from 0 to 32, by binnet's layers."""
    layer = nn.BatchNorm(1, eps=0.0)
    state = {"gamma": gamma, "beta": beta, "running_mean": mean, "running_var": deviation**2}
    layer.load_state_dict({name: np.array([value], np.float32) for name, value in state.items()})
    layer.eval()
    dots = (TAPS - 2 * np.arange(TAPS + 1)).astype(np.float32)[:, None]
    return [bool(sign < 0) for sign in ops.sign(layer(Tensor(np.float32(ALPHA) * dots))).numpy()[:, 0]]


def values() -> dict[str, Any]:
    """Taps, α, and the parameters of the normalisation to begin with: γ, β, μ and σ."""
    return {"n": TAPS, "alpha": ALPHA, "start": {"gamma": 1.0, "beta": 0.5, "mu": 1.0, "sigma": 2.0}}
