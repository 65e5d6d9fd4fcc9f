"""Reverse-mode differentiation: recording, the backward sweep, and a check of gradients. It knows no operation."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from binnet_kernels.checks import Float

from .tensor import Tensor

Grads = Float | None | tuple[Float | None, ...]

_clock = itertools.count()
_state = threading.local()


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return getattr(_state, "enabled", True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Within this block, and this thread, nothing is recorded and no result requires a gradient."""
    before = is_grad_enabled()
    _state.enabled = False
    try:
        yield
    finally:
        _state.enabled = before


class Context:
    """What a forward pass leaves for its backward pass.

    Attributes
    ----------
    needs_grad
        One flag an input; ``backward`` may return None where it is False, and should not compute anything for it.
    """

    def __init__(self, needs_grad: tuple[bool, ...]) -> None:
        self.needs_grad = needs_grad
        self._saved: tuple[Any, ...] = ()

    def save(self, *values: Any) -> None:
        """Keep ``values`` for the backward pass; nothing is kept when there will be none."""
        if any(self.needs_grad):
            self._saved = values

    @property
    def saved(self) -> tuple[Any, ...]:
        """The values given to :meth:`save`."""
        return self._saved

    def free(self) -> None:
        """Let go of the saved values."""
        self._saved = ()


class Node:
    """One recorded call: the function, its context and the inputs that want a gradient (None for the others)."""

    def __init__(self, function: type[Function], ctx: Context, inputs: tuple[Tensor | None, ...]) -> None:
        self.function, self.ctx, self.inputs = function, ctx, inputs
        self.order = next(_clock)  # an input is always older than what is made from it
        self.freed = False

    def backward(self, grad: Float) -> tuple[Float | None, ...]:
        """Gradients of the inputs, checked for number and shape."""
        grads = self.function.backward(self.ctx, grad)
        grads = grads if isinstance(grads, tuple) else (grads,)
        name = self.function.__name__
        if len(grads) != len(self.inputs):
            raise RuntimeError(f"{name}.backward returned {len(grads)} gradients for {len(self.inputs)} inputs")
        for tensor, value in zip(self.inputs, grads, strict=True):
            if tensor is not None and value is not None and value.shape != tensor.shape:
                raise RuntimeError(f"{name}.backward returned a gradient {value.shape} for an input {tensor.shape}")
        return grads

    def free(self) -> None:
        """Drop saved arrays and the way further back, so that memory falls while the sweep goes on."""
        self.ctx.free()
        self.inputs = ()
        self.freed = True


class Function:
    """A differentiable operation: a pair of static methods on raw arrays.

    ``forward(ctx, *arrays, **options)`` returns an array; ``backward(ctx, grad)`` takes the derivative with respect to
    that array and returns one gradient (or None) for each positional input, as a tuple when there are several.
    Neither may write to its arguments: ``grad`` can be shared with other branches.
    """

    @staticmethod
    def forward(ctx: Context, *arrays: Any, **options: Any) -> Float:
        """Compute the result; to be overridden."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        """Compute the gradients of the inputs; to be overridden."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Tensor:
        """Run ``forward`` on the arrays of ``inputs`` and record it when one of them requires a gradient.

        Parameters
        ----------
        *inputs
            Tensors, or anything else (arrays, None), which is handed on as it is and gets no gradient.
        **options
            Handed on to ``forward``.
        """
        recording = is_grad_enabled()
        ctx = Context(tuple(recording and isinstance(i, Tensor) and i.requires_grad for i in inputs))
        result = cls.forward(ctx, *(i.data if isinstance(i, Tensor) else i for i in inputs), **options)
        out = Tensor(result, requires_grad=any(ctx.needs_grad))
        if out.requires_grad:
            wanted = (i if needed else None for i, needed in zip(inputs, ctx.needs_grad, strict=True))
            out.node = Node(cls, ctx, tuple(wanted))
        return out


def backward(root: Tensor, grad: Any = None) -> None:
    """The sweep behind :meth:`binnet.Tensor.backward`; iterative, so that the depth of a graph is not limited."""
    if not root.requires_grad:
        raise RuntimeError("backward() on a tensor that does not require a gradient: nothing was recorded for it")
    start = _start(root, grad)
    if root.node is None:
        _accumulate(root, start)
        return
    pending = {root.node: start}
    for node in _newest_first(root.node):
        received = pending.pop(node, None)
        if received is not None:
            for tensor, value in zip(node.inputs, node.backward(received), strict=True):
                if tensor is not None and value is not None:
                    _deliver(tensor, value, pending)
        node.free()


def _start(root: Tensor, grad: Any) -> Float:
    if grad is None:
        if root.data.size != 1:
            raise ValueError(f"backward() without grad needs a tensor of one element, got shape {root.shape}")
        return np.ones(root.shape, np.float32)
    start = np.asarray(grad.data if isinstance(grad, Tensor) else grad, np.float32)
    if start.shape != root.shape:
        raise ValueError(f"grad must have the shape of the tensor, {root.shape}, got {start.shape}")
    return start


def _newest_first(root: Node) -> list[Node]:
    """All nodes behind ``root``: every consumer of a tensor stands before its maker."""
    found, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        if node.freed:
            raise RuntimeError(
                f"backward() a second time through {node.function.__name__}: the graph was freed by the first call; "
                "compute the result again, or add the losses and call backward() once"
            )
        parents = {t.node for t in node.inputs if t is not None and t.node is not None} - found
        found |= parents
        waiting.extend(parents)
    return sorted(found, key=lambda node: -node.order)


def _deliver(tensor: Tensor, value: Float, pending: dict[Node, Float]) -> None:
    if tensor.node is None:
        _accumulate(tensor, value)
    elif tensor.node in pending:
        pending[tensor.node] = pending[tensor.node] + value  # not in place: the array may be shared
    else:
        pending[tensor.node] = value


def _accumulate(leaf: Tensor, value: Float) -> None:
    if leaf.grad is None:
        leaf.grad = np.array(value, np.float32)  # a copy: whoever scales it in place must not touch another's
    else:
        leaf.grad += value


def gradcheck(
    function: Callable[..., Tensor],
    *tensors: Tensor,
    directions: int = 4,
    eps: float = 1e-2,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> bool:
    """Compare the gradients of ``function(*tensors)`` with central differences along random directions.

    For random ``v`` and ``u``, ⟨v, Jᵀu⟩ from one backward pass is held against ⟨u, f(x + εv) − f(x − εv)⟩ / 2ε. The
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
