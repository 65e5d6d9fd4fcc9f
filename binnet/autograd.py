"""Reverse-mode differentiation: recording, and the backward sweep. It knows no operation."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from binnet_kernels.checks import Float

from .tensor import Tensor
from .watch import Memory, Watch, fingerprint

Grad = Float | None
Grads = Grad | tuple[Grad, ...]

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


class Call(NamedTuple):
    """One call of a :class:`Function` while :func:`recording`.

    Attributes
    ----------
    function : Function class
    inputs, options
        As given to :meth:`Function.apply`.
    result : Tensor
    module : Module or None
        The innermost module that was running.
    prints : tuple of bytes
        Fingerprints of the arrays of the inputs, and last of the result, as they were after the call; empty for what
        is no array.
    """

    function: type[Function]
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    result: Tensor
    module: Any
    prints: tuple[bytes, ...]


class _Recorder:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.modules: list[Any] = []

    def add(self, function: type[Function], inputs: tuple[Any, ...], options: dict[str, Any], result: Tensor) -> None:
        """List a call."""
        arrays = [value.array if isinstance(value, Tensor) else value for value in (*inputs, result)]
        prints = tuple(fingerprint(a) if isinstance(a, np.ndarray) and a.dtype != object else b"" for a in arrays)
        self.calls.append(Call(function, inputs, options, result, self.modules[-1] if self.modules else None, prints))


@contextmanager
def recording() -> Iterator[list[Call]]:
    """Within this block, and this thread, every call of a Function is added to the list that it gives."""
    before, _state.recorder = getattr(_state, "recorder", None), _Recorder()
    try:
        yield _state.recorder.calls
    finally:
        _state.recorder = before


def is_recording() -> bool:
    """Whether calls of this thread are being listed, see :func:`recording`."""
    return getattr(_state, "recorder", None) is not None


@contextmanager
def running(module: Any) -> Iterator[None]:
    """Within this block, calls are listed as those of ``module``; only while :func:`recording`."""
    modules = _state.recorder.modules
    modules.append(module)
    try:
        yield
    finally:
        modules.pop()


class Context:
    """What a forward pass leaves for its backward pass.

    Attributes
    ----------
    needs_grad
        One flag an input; ``backward`` may return None where it is False, and should not compute anything for it.
    owns_grad
        In the backward pass: whether nobody else reads ``grad``, so that ``backward`` may write to it and return it.
    """

    def __init__(self, needs_grad: tuple[bool, ...]) -> None:
        self.needs_grad, self.owns_grad = needs_grad, False
        self._saved: tuple[Any, ...] = ()

    def room(self, grad: Float) -> Float | None:
        """``grad`` itself where its memory may be used for a result of the same shape, else None."""
        return grad if self.owns_grad else None

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
    """One recorded call: the function, its context, and what wants the gradients of its inputs.

    ``inputs[i]`` receives the i-th gradient: a leaf Tensor, the producing Node (whose array is not kept alive by this),
    or None for an input without a gradient. ``shape`` is that of the result. ``watches`` are on the arrays that the
    backward pass may read, with a name for each.
    """

    def __init__(
        self,
        function: type[Function],
        ctx: Context,
        inputs: tuple[Tensor | Node | None, ...],
        shape: tuple[int, ...],
        watches: Iterable[tuple[str, Watch]] = (),
    ) -> None:
        self.function, self.ctx, self.inputs, self.shape = function, ctx, inputs, shape
        self._watches = tuple(watches)
        self.order = next(_clock)  # an input is always older than what is made from it
        self.freed = False

    def backward(self, grad: Float, owned: bool) -> tuple[Grad, ...]:
        """Gradients of the inputs, checked for number and shape; ``owned``: nobody else reads ``grad``."""
        for what, watch in self._watches:
            watch.check(what)
        self.ctx.owns_grad = owned
        grads = self.function.backward(self.ctx, grad)
        grads = grads if isinstance(grads, tuple) else (grads,)
        name = self.function.__name__
        if len(grads) != len(self.inputs):
            raise RuntimeError(f"{name}.backward returned {len(grads)} gradients for {len(self.inputs)} inputs")
        for source, value in zip(self.inputs, grads, strict=True):
            if source is not None and value is not None and value.shape != source.shape:
                raise RuntimeError(f"{name}.backward returned a gradient {value.shape} for an input {source.shape}")
        return grads

    def free(self) -> None:
        """Drop saved arrays and the way further back, so that memory falls while the sweep goes on."""
        self.ctx.free()
        self.inputs = self._watches = ()
        self.freed = True


class Function:
    """A differentiable operation: a pair of static methods on raw arrays.

    ``forward(ctx, *arrays, **options)`` returns an array; ``backward(ctx, grad)`` takes the derivative with respect to
    that array and returns one gradient (or None) for each positional input, as a tuple when there are several. Neither
    writes to its arguments, except ``backward`` to ``grad`` where ``ctx.owns_grad`` says that it may. What it returns,
    it gives away: fresh arrays, or ``grad`` and views of it, never anything saved.
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
        arrays = [i.array if isinstance(i, Tensor) else i for i in inputs]
        result = cls.forward(ctx, *arrays, **options)
        memories = [_memory(i) for i in inputs]
        out = Tensor(result, requires_grad=any(ctx.needs_grad))
        shared = (m for m, a in zip(memories, arrays, strict=True) if m and np.may_share_memory(a, result))
        out.memory = next(shared, None) or Memory(exposed=False)  # a view lies in the memory of its input
        if out.requires_grad:
            wanted = ((i.node or i) if needed else None for i, needed in zip(inputs, ctx.needs_grad, strict=True))
            name = cls.__name__
            watches = [(f"an input of {name}", m.watch(a)) for m, a in zip(memories, arrays, strict=True) if m]
            if any(value is result for value in ctx.saved):
                watches.append((f"the result of {name}", out.memory.watch(out.array)))
            out.node = Node(cls, ctx, tuple(wanted), out.shape, watches)
        if is_recording():
            _state.recorder.add(cls, inputs, options, out)
        return out


def _memory(value: Any) -> Memory | None:
    """That of a tensor or of a plain array, which its owner may change."""
    if isinstance(value, Tensor):
        return value.memory
    return Memory(exposed=True) if isinstance(value, np.ndarray) else None


def backward(root: Tensor, grad: Any = None) -> None:
    """The sweep behind :meth:`binnet.Tensor.backward`; iterative, so that the depth of a graph is not limited."""
    if not root.requires_grad:
        raise RuntimeError("backward() on a tensor that does not require a gradient: nothing was recorded for it")
    sweep = _Sweep()
    sweep.deliver(root.node or root, _start(root, grad), owned=False)
    for node in [] if root.node is None else _newest_first(root.node):
        sweep.visit(node)


def _start(root: Tensor, grad: Any) -> Float:
    if grad is None:
        if root.array.size != 1:
            raise ValueError(f"backward() without grad needs a tensor of one element, got shape {root.shape}")
        return np.ones(root.shape, np.float32)
    start = np.asarray(grad.array if isinstance(grad, Tensor) else grad, np.float32)
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
        parents = {source for source in node.inputs if isinstance(source, Node)} - found
        found |= parents
        waiting.extend(parents)
    return sorted(found, key=lambda node: -node.order)


class _Sweep:
    """One backward sweep: the gradients on their way, each with whether its array is the sweep's own.

    Own arrays are handed on, summed into and kept as they are; an array that somebody else may read, such as a gradient
    that goes to both sides of a sum, is copied as soon as something has to be written.
    """

    def __init__(self) -> None:
        self._pending: dict[Node, tuple[Float, bool]] = {}

    def visit(self, node: Node) -> None:
        """Run one node backward, when a gradient has reached it, and free it."""
        if node in self._pending:
            grad, owned = self._pending.pop(node)
            grads = node.backward(grad, owned)
            arrays = [g for g in grads if isinstance(g, np.ndarray)] + ([] if owned else [grad])
            for source, value in zip(node.inputs, grads, strict=True):
                if source is not None and value is not None:
                    self.deliver(source, value, _is_alone(value, arrays))
        node.free()

    def deliver(self, source: Tensor | Node, value: Float, owned: bool) -> None:
        """Add ``value`` to what has come for ``source``: to ``grad`` of a leaf, to what waits for a node."""
        if isinstance(source, Tensor):
            source.receive(value, owned)
            return
        known = self._pending.get(source)
        self._pending[source] = (value, owned) if known is None else (_sum(known, (value, owned)), True)


def _is_alone(value: Float, arrays: list[Float]) -> bool:
    """Whether an array may be written to, and none of the other ``arrays`` lies in the same memory."""
    return value.flags.writeable and sum(bool(np.may_share_memory(value, other)) for other in arrays) == 1


def _sum(one: tuple[Float, bool], other: tuple[Float, bool]) -> Float:
    """Their sum, in the first of the arrays that may be written to."""
    room = next((array for array, owned in (one, other) if owned), None)
    total: Float = np.add(one[0], other[0], out=room)
    return total
