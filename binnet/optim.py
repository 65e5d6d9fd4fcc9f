"""Optimisers. They update the *real* weights in place, the third step of Algorithm 1 (arXiv:1603.05279)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels.checks import Float
from binnet_system.memory import keep_freed_memory

from .autograd import Tensor
from .parallel.workers import ALONE, Workers

Array = npt.NDArray[Any]
Params = Iterable[Tensor | Mapping[str, Any]]


class Limits(NamedTuple):
    """Numbers that one update of one parameter needs, whatever the rule.

    Attributes
    ----------
    number : int
        Number of this update of the parameter, from 1 on.
    lr : float
    decay : float
        ``decay · data`` joins the gradient.
    clip : float
        The result is clamped to ±clip.
    """

    number: int
    lr: float
    decay: float
    clip: float


@dataclass
class Group:
    """Parameters with a learning rate or weight decay of their own.

    Attributes
    ----------
    params : list of Tensor
    lr_factor : float
        The learning rate is this times the ``lr`` of the optimiser.
    weight_decay : float or None
        Weight decay of these parameters; None for that of the optimiser.
    """

    params: list[Tensor]
    lr_factor: float = 1.0
    weight_decay: float | None = None


class Optimizer:
    """Base class of optimisers: weight decay, limits and state, around the rule of a subclass.

    A parameter without a gradient is passed over, and its own count of updates stays. Weight decay is the L2 kind,
    added to the gradient, and spares parameters with ``decay = False`` (binary weights, batch normalisation, biases).
    After the update, parameters with a ``clip`` are clamped to ±clip.

    Parameters
    ----------
    params
        Tensors or parameters, or groups of them: dictionaries with ``params`` and, where they differ from the others,
        ``lr`` and ``weight_decay``. A group's ``lr`` stays in the same proportion when ``lr`` is changed.
    lr
        Learning rate, at least 0. The attribute ``lr`` may be set before each step.
    weight_decay
        At least 0.

    Raises
    ------
    TypeError
        When something among ``params`` is no tensor.
    ValueError
        When there are no parameters, one is given twice, a group has other keys, or a number is out of range.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, params: Params, lr: float, weight_decay: float = 0.0) -> None:
        self.workers = ALONE
        self.lr = _number("lr", lr)
        self.weight_decay = _number("weight_decay", weight_decay)
        self.groups = _groups(params, self.lr)
        self.params = [param for group in self.groups for param in group.params]
        if len({id(param) for param in self.params}) < len(self.params):
            raise ValueError("a parameter was given to the optimiser twice")
        for param in self.params:
            required = np.require(param.array, np.float32, ["C", "W"])  # as the kernels want what they change
            # A new array only where it must be: others may hold the old one, as a view of the data they gave.
            if required is not param.array:
                param.data = required
        keep_freed_memory()
        self.updates = np.zeros(len(self.params), np.int64)  # of each parameter
        self.state = self._new_state()

    def _new_state(self) -> list[dict[str, Float]]:
        """Moments of 0 of the rows that this worker updates."""
        return [{slot: np.zeros_like(own_rows(p)) for slot in self.slots} for p in self.params]

    def divide(self, workers: Workers) -> None:
        """Divide the update among workers: each updates some rows of each weight, and has the moments of these only.

        Called before the first step. Gradients are those of the rows from now on (:attr:`binnet.Tensor.rows`). After a
        step the rows of other workers may hold stand-ins, see :meth:`binnet.parallel.workers.Workers.complete`.
        """
        self.workers = workers
        for param in self.params:
            param.rows = workers.rows(param.array)
        self.state = self._new_state()

    def step(self) -> None:
        """Update all parameters once from their gradients; ValueError when ``lr`` was set out of range."""
        _number("lr", self.lr)
        _number("weight_decay", self.weight_decay)
        index = 0
        for group in self.groups:
            for param in group.params:
                self._update(index, param, group)
                index += 1
        self.workers.share_rows(self.params)

    def _update(self, index: int, param: Tensor, group: Group) -> None:
        # A layer that took no part in this batch keeps its moments and its count, which Adam corrects its bias by.
        if param.grad is None:
            return
        self.updates[index] += 1
        decay = self.weight_decay if group.weight_decay is None else group.weight_decay
        clip = getattr(param, "clip", None)
        limits = Limits(
            int(self.updates[index]),
            self.lr * group.lr_factor,
            decay if getattr(param, "decay", True) else 0.0,
            math.inf if clip is None else clip,
        )
        param.memory.before_change()  # graphs that still need the old values notice (ADR 0024)
        self.update(own_rows(param), param.grad, self.state[index], limits)

    def update(self, data: Float, grad: Float, state: dict[str, Float], limits: Limits) -> None:
        """Change ``data`` and ``state`` by the rule."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for param in self.params:
            param.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Copies of the numbers of updates and of all moments: with the weights, what a bit-exact resumption needs.

        Hyper-parameters are not part of it; whoever resumes constructs the optimiser from the same configuration. Where
        workers divide the update, all of them call this, and the first worker alone gets whole moments.
        """
        moments = {
            name: array.copy() if param.rows is None else self.workers.collect(array, len(param))
            for name, array, param in self._moments()
        }
        return {"updates": self.updates.copy(), **moments}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Copy a state in; ValueError naming the key, with both shapes, when it does not fit."""
        own = {"updates": self.updates.shape, **{name: param.shape for name, _, param in self._moments()}}
        if set(own) != set(state):
            wrong = ", ".join(sorted(set(own) ^ set(state)))
            raise ValueError(f"the state is of another optimiser or network: missing or unexpected {wrong}")
        # All is checked before anything is written.
        for name, shape in own.items():
            if np.shape(state[name]) != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {np.shape(state[name])}")
        self.updates[...] = state["updates"]
        for name, array, param in self._moments():
            array[...] = state[name] if param.rows is None else state[name][param.rows]

    def _moments(self) -> Iterator[tuple[str, Float, Tensor]]:
        """Name and array of each moment, and its parameter."""
        for i, (param, state) in enumerate(zip(self.params, self.state, strict=True)):
            yield from ((f"{slot}.{i}", array, param) for slot, array in state.items())


def own_rows(param: Tensor) -> Float:
    """The rows of a parameter that this worker updates, as a view."""
    return param.array if param.rows is None else param.array[param.rows]


def _groups(params: Params, lr: float) -> list[Group]:
    """The groups that an optimiser was given; plain parameters are one group."""
    if isinstance(params, Tensor | Mapping) or not isinstance(params, Iterable):
        raise TypeError(
            "an optimiser takes a list of tensors, such as net.parameters(), or of groups of them, "
            f"got {type(params).__name__}"
        )
    given = list(params)
    if not given:
        raise ValueError("the optimiser was given no parameters")
    if not any(isinstance(entry, Mapping) for entry in given):
        return [Group(_tensors(given))]
    if not all(isinstance(entry, Mapping) for entry in given):
        raise TypeError("an optimiser takes either tensors or groups of them, got both")
    groups = []
    for entry in given:
        assert isinstance(entry, Mapping)
        unknown = set(entry) - {"params", "lr", "weight_decay"}
        if unknown or "params" not in entry:
            wrong = f"the key {min(unknown)!r}" if unknown else "no params"
            raise ValueError(f"a group of parameters takes params, lr and weight_decay, but this one has {wrong}")
        own, decay = entry.get("lr"), entry.get("weight_decay")
        if own is not None and not lr:
            raise ValueError("a group's lr is kept in proportion to that of the optimiser, which must be above 0")
        # A factor and not a rate, so that a schedule that sets `lr` moves all groups together.
        factor = 1.0 if own is None else _number("lr of a group", own) / lr
        decay = None if decay is None else _number("weight_decay of a group", decay)
        groups.append(Group(_tensors(entry["params"]), factor, decay))
    return groups


def _tensors(params: Any) -> list[Tensor]:
    found = list(params) if isinstance(params, Iterable) and not isinstance(params, Tensor) else [params]
    for param in found:
        if not isinstance(param, Tensor):
            raise TypeError(f"an optimiser takes tensors, such as net.parameters(), got {type(param).__name__}")
    if not found:
        raise ValueError("the optimiser was given a group without parameters")
    return found


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
        params: Params,
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

    def update(self, data: Float, grad: Float, state: dict[str, Float], limits: Limits) -> None:
        rule = limits.lr, self.momentum, self.nesterov, limits.decay, limits.clip
        bk.sgd_update(data, grad, state["momentum"], *rule)


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
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, weight_decay)
        first, second = betas
        self.betas = (_number("betas[0]", first, below=1.0), _number("betas[1]", second, below=1.0))
        self.eps = _number("eps", eps)

    def update(self, data: Float, grad: Float, state: dict[str, Float], limits: Limits) -> None:
        rule = limits.number, limits.lr, self.betas, self.eps, limits.decay, limits.clip
        bk.adam_update(data, grad, state["mean"], state["square"], *rule)


def _number(name: str, value: float, below: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise ValueError(f"{name} must be a number of at least 0{limit}, got {value!r}")
    return float(value)


def clip_gradients(params: Iterable[Tensor], limit: float, workers: Workers = ALONE) -> float:
    """Scale all gradients together so that their joint norm is at most ``limit``; returns the norm before.

    ``g ← g · limit / ‖g‖`` where the norm over all parameters, summed in float64 in their order, is above the limit.
    Gradients whose norm is not finite are left as they are; the training loop checks the loss. Where batches are
    divided, squares are summed row by row, because ``workers`` have different rows.

    Raises
    ------
    ValueError
        When the limit is not a number above 0; infinity only measures the norm.
    """
    if isinstance(limit, bool) or not isinstance(limit, int | float | np.number) or not limit > 0:
        raise ValueError(f"limit must be a number above 0, got {limit!r}")
    learning = [p for p in params if p.grad is not None]
    norm = math.sqrt(sum(_square_sum(p, workers) for p in learning))
    if limit < norm < math.inf:
        for param in learning:
            assert param.grad is not None
            param.grad *= np.float32(limit / norm)
    return norm


def _square_sum(param: Tensor, workers: Workers) -> float:
    """The sum of the squares of a whole gradient."""
    assert param.grad is not None
    # einsum does not use BLAS, whose threads and those of the kernels slow each other down (ADR 0011).
    if not workers.divided:
        flat = param.grad.reshape(-1)
        return float(np.einsum("i,i->", flat, flat, dtype=np.float64))
    grad = np.atleast_1d(param.grad)
    # One number for each row: the sum over rows has one order, however many workers have them.
    matrix = grad.reshape(len(grad), math.prod(grad.shape[1:]))
    rows = np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64)
    return float((rows if param.rows is None else workers.join(rows, len(param))).sum())
