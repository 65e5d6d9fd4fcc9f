"""Optimisers. They update the *real* weights in place, the third step of Algorithm 1 (arXiv:1603.05279)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

from .backend import kernels
from .memory import keep_freed_memory
from .ops import LateWeightGradient
from .tensor import Tensor

Array = npt.NDArray[Any]


class Optimizer:
    """Base class: what comes before and after the rule itself.

    A parameter without a gradient is passed over. Weight decay is the L2 kind, added to the gradient, and spares
    parameters with ``decay = False`` (binary weights, batch normalisation, biases). After the update, parameters with a
    ``clip`` are clamped to ±clip.

    Parameters
    ----------
    params
        Tensors or parameters; ValueError when there are none.
    lr
        Learning rate, at least 0. The attribute ``lr`` may be set before each step.
    weight_decay
        At least 0.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.params = list(params)
        if not self.params:
            raise ValueError("the optimiser was given no parameters")
        for param in self.params:
            param.data = np.require(param.data, np.float32, ["C", "W"])  # as the kernels want what they change
        keep_freed_memory()
        self.lr = _number("lr", lr)
        self.weight_decay = _number("weight_decay", weight_decay)
        self.steps = np.zeros((), np.int64)
        self.state = [{slot: np.zeros_like(p.data) for slot in self.slots} for p in self.params]

    def step(self) -> None:
        """Update all parameters once from their gradients."""
        self.steps += 1
        for param, state in zip(self.params, self.state, strict=True):
            decay = self.weight_decay if getattr(param, "decay", True) else 0.0
            clip = getattr(param, "clip", None)
            limits = (decay, math.inf if clip is None else clip)
            late = param.late_grad
            if isinstance(late, LateWeightGradient) and late.weight is param.data:
                self.update_filters(late, state, *limits)
                param.grad = late.grad_hat
            elif param.grad is not None:
                self.update(param.data, param.grad, state, *limits)

    def update(self, data: Float, grad: Float, state: dict[str, Float], decay: float, clip: float) -> None:
        """Change ``data`` and ``state`` by the rule; ``decay · data`` joins the gradient, ±clip bounds the result."""
        raise NotImplementedError

    def update_filters(self, late: LateWeightGradient, state: dict[str, Float], decay: float, clip: float) -> None:
        """The same for binary weights whose gradient is still to be finished, in place and in the same pass."""
        self.update(late.weight, late.finish(), state, decay, clip)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for param in self.params:
            param.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Copies of the number of steps and of all moments: with the weights, all that a bit-exact resumption needs.

        Hyper-parameters are not part of it; whoever resumes constructs the optimiser from the same configuration.
        """
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Copy a state in; ValueError naming the key, with both shapes, when it does not fit."""
        own = self._arrays()
        if set(own) != set(state):
            wrong = ", ".join(sorted(set(own) ^ set(state)))
            raise ValueError(f"the state is of another optimiser or network: missing or unexpected {wrong}")
        for name, array in own.items():
            if np.shape(state[name]) != array.shape:
                raise ValueError(f"{name}: expected shape {array.shape}, got {np.shape(state[name])}")
        for name, array in own.items():
            array[...] = state[name]

    def _arrays(self) -> dict[str, Array]:
        moments = {f"{slot}.{i}": array for i, state in enumerate(self.state) for slot, array in state.items()}
        return {"step": self.steps, **moments}


class SGD(Optimizer):
    """Stochastic gradient descent: ``v ← μ v + g``, ``w ← w − lr v``; Nesterov's form steps along ``g + μ v``.

    Raises
    ------
    ValueError
        For numbers out of range, and for ``nesterov`` without momentum.
    """

    slots = ("momentum",)

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, weight_decay)
        self.momentum = _number("momentum", momentum, below=1.0)
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum above 0")
        self.nesterov = nesterov

    def update(self, data: Float, grad: Float, state: dict[str, Float], decay: float, clip: float) -> None:
        rule = (self.lr, self.momentum, self.nesterov, decay, clip)
        kernels().sgd_update(data, grad, state["momentum"], *rule)

    def update_filters(self, late: LateWeightGradient, state: dict[str, Float], decay: float, clip: float) -> None:
        rule = (self.lr, self.momentum, self.nesterov, decay, clip, late.rule, late.mean_alpha, True, late.bits)
        kernels().sgd_update_filters(late.weight, late.grad_hat, late.alpha, state["momentum"], *rule)


class Adam(Optimizer):
    """Adam (arXiv:1412.6980) with bias correction: ``w ← w − lr m̂ / (√v̂ + ε)``.

    Raises
    ------
    ValueError
        For numbers out of range.
    """

    slots = ("mean", "square")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, weight_decay)
        first, second = betas
        self.betas = (_number("betas[0]", first, below=1.0), _number("betas[1]", second, below=1.0))
        self.eps = _number("eps", eps)

    def update(self, data: Float, grad: Float, state: dict[str, Float], decay: float, clip: float) -> None:
        rule = (int(self.steps), self.lr, self.betas, self.eps, decay, clip)
        kernels().adam_update(data, grad, state["mean"], state["square"], *rule)

    def update_filters(self, late: LateWeightGradient, state: dict[str, Float], decay: float, clip: float) -> None:
        descent = (int(self.steps), self.lr, self.betas, self.eps, decay, clip)
        moments, rule = (state["mean"], state["square"]), (late.rule, late.mean_alpha, True, late.bits)
        kernels().adam_update_filters(late.weight, late.grad_hat, late.alpha, *moments, *descent, *rule)


def _number(name: str, value: float, below: float = math.inf) -> float:
    if not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise ValueError(f"{name} must be at least 0{limit}, got {value!r}")
    return float(value)


def clip_gradients(params: Iterable[Tensor], limit: float) -> float:
    """Scale all gradients together so that their joint norm is at most ``limit``; returns the norm before.

    ``g ← g · limit / ‖g‖`` where the norm over all parameters, summed in float64 in their order, is above the limit.
    Gradients whose norm is not finite are left alone: the loss tells.
    """
    grads = [p.grad for p in params if p.grad is not None]
    # einsum: no BLAS: its threads and those of the kernels slow each other down (ADR 0011)
    norm = math.sqrt(sum(float(np.einsum("i,i->", g, g, dtype=np.float64)) for g in (g.reshape(-1) for g in grads)))
    if limit < norm < math.inf:
        for grad in grads:
            grad *= np.float32(limit / norm)
    return norm
