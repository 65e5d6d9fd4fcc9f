"""Check of gradients against central differences, for user-defined functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from binnet_kernels.checks import Float

from .autograd import Tensor
from .context import no_grad


def gradcheck(
    function: Callable[..., Tensor],
    *tensors: Tensor,
    directions: int = 4,
    eps: float = 1e-2,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> bool:
    """Compare the gradients of ``function(*tensors)`` with central differences along random directions.

    For random ``v`` and ``u``, ⟨v, Jᵀu⟩ from one backward pass is compared with ⟨u, f(x + εv) − f(x − εv)⟩ / 2ε. The
    defaults suit float32: ε balances rounding against curvature. Not for functions with a straight-through gradient,
    and not at kinks.

    Parameters
    ----------
    tensors
        Those with ``requires_grad`` are moved; their ``grad`` is left as it was.
    directions
        How many pairs (v, u) are tried.
    tolerance
        Permitted difference, in units of ‖Jv‖ (the spread of ⟨u, Jv⟩ for a standard normal u).

    Returns
    -------
    bool
        True; there is no False.

    Raises
    ------
    AssertionError
        With both figures when they differ, or when no tensor requires a gradient.
    """
    moved = [t for t in tensors if t.requires_grad]
    if not moved:
        raise AssertionError("gradcheck needs at least one tensor with requires_grad=True")
    rng = np.random.default_rng(seed)
    for number in range(directions):
        shift = {id(t): np.float32(eps) * rng.standard_normal(t.shape).astype(np.float32) for t in moved}
        plus, minus = ([Tensor(t.data + s * shift.get(id(t), np.float32(0))) for t in tensors] for s in (1, -1))
        with no_grad():
            change = np.subtract(function(*plus).data, function(*minus).data, dtype=np.float64) / (2 * eps)
        u = rng.standard_normal(change.shape).astype(np.float32)
        numeric = float(np.sum(u * change))
        # The step really taken, after rounding x ± εv to float32.
        steps = [np.subtract(a.data, b.data, dtype=np.float64) / (2 * eps) for a, b in zip(plus, minus, strict=True)]
        analytic = _directional(function, tensors, u, steps)
        # "not <=" rather than ">", so that NaN fails.
        if not abs(analytic - numeric) <= tolerance * float(np.linalg.norm(change)) + 1e-5:
            raise AssertionError(
                f"direction {number}: backward gives {analytic:.6g}, the central difference {numeric:.6g} (eps {eps})"
            )
    return True


def _directional(function: Callable[..., Tensor], tensors: tuple[Tensor, ...], u: Float, steps: list[Any]) -> float:
    """⟨v, Jᵀu⟩ by one backward pass on fresh leaves."""
    leaves = [Tensor(t.data, requires_grad=t.requires_grad) for t in tensors]
    function(*leaves).backward(u)
    pairs = zip(leaves, steps, strict=True)
    return float(sum(np.sum(leaf.grad * step, dtype=np.float64) for leaf, step in pairs if leaf.grad is not None))
