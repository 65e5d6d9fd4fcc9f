"""The rules of optimisers, each in one pass over weights, gradients and moments (Algorithm 1, its last step)."""

from __future__ import annotations

from numba import prange

from ..checks import Float
from ..simd.jit import Kernel, helper, kernel
from ..simd.lanes import WIDTH, all_lanes, clamped, first_lanes, load_lanes, square_root, store_lanes

_RUN = 1 << 14  # weights that go to one thread at a time
_WORTH_SHARING = 1 << 16  # weights, some 30 µs of work


def adam_update(grad: Float, rule: Float, weight: Float, mean: Float, square: Float) -> None:
    """A step of Adam; ``rule`` is (β₁, 1 - β₁, β₂, 1 - β₂, rate, 1 / (1 - β₂ᵗ), ε, decay, clip)."""
    _update(_adam, grad, rule, weight, mean, square)


def sgd_update(grad: Float, rule: Float, weight: Float, velocity: Float) -> None:
    """A step of gradient descent; ``rule`` is (rate, momentum, whether Nesterov's, decay, clip)."""
    _update(_sgd, grad, rule, weight, velocity)


def _update(work: Kernel, grad: Float, rule: Float, *changed: Float) -> None:
    flat = [array.ravel() for array in (grad, *changed)]
    (work if grad.size > _WORTH_SHARING else work.serial)(*flat, rule, -(-grad.size // _RUN), grad.size)


# ---------------------------------------------------------------------------------------------- kernels


@helper
def _adam_weights(grad, weight, mean, square, numbers, start, end):
    """Adam over the weights ``start`` to ``end``."""
    b1, rest1, b2, rest2 = numbers[0], numbers[1], numbers[2], numbers[3]
    rate, unbias, eps = all_lanes(numbers[4]), all_lanes(numbers[5]), all_lanes(numbers[6])
    decay, clip = all_lanes(numbers[7]), all_lanes(numbers[8])
    for i in range(start, end, WIDTH):
        lanes = first_lanes(end - i)
        w = load_lanes(weight, i, lanes)
        g = load_lanes(grad, i, lanes) + w * decay
        m = load_lanes(mean, i, lanes) * all_lanes(b1) + g * all_lanes(rest1)
        v = load_lanes(square, i, lanes) * all_lanes(b2) + g * g * all_lanes(rest2)
        store_lanes(mean, i, m, lanes)
        store_lanes(square, i, v, lanes)
        store_lanes(weight, i, clamped(w - m / (square_root(v * unbias) + eps) * rate, clip), lanes)


@helper
def _sgd_weights(grad, weight, velocity, numbers, start, end):
    """Descent over the weights ``start`` to ``end``, as :func:`_adam_weights`."""
    lr, momentum, nesterov = all_lanes(numbers[0]), all_lanes(numbers[1]), numbers[2] != 0
    decay, clip = all_lanes(numbers[3]), all_lanes(numbers[4])
    for i in range(start, end, WIDTH):
        lanes = first_lanes(end - i)
        w = load_lanes(weight, i, lanes)
        g = load_lanes(grad, i, lanes) + w * decay
        v = load_lanes(velocity, i, lanes) * momentum + g
        store_lanes(velocity, i, v, lanes)
        along = v
        if nesterov:
            along = v * momentum + g
        store_lanes(weight, i, clamped(w - along * lr, clip), lanes)


@kernel
def _adam(grad, weight, mean, square, numbers, runs, n):
    for run in prange(runs):
        _adam_weights(grad, weight, mean, square, numbers, run * _RUN, min((run + 1) * _RUN, n))


@kernel
def _sgd(grad, weight, velocity, numbers, runs, n):
    for run in prange(runs):
        _sgd_weights(grad, weight, velocity, numbers, run * _RUN, min((run + 1) * _RUN, n))
