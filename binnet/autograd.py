"""Reverse-mode differentiation: tensors, functions, and the backward sweep. The operations are in binnet.ops."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from binnet_kernels.checks import Float

from .context import Context, Grad, state
from .parallel.weight_sum import Later
from .watch import Memory, Watch

Grads = Grad | tuple[Grad, ...]

_clock = itertools.count()  # numbers nodes in the order in which they are made
operations: dict[str, Callable[..., Tensor]] = {}  # what tensors have as operators and methods; binnet.ops fills it


def _operator(name: str, swapped: bool = False) -> Callable[[Tensor, Operand], Tensor]:
    def operator(self: Tensor, other: Operand) -> Tensor:
        return operations[name](other, self) if swapped else operations[name](self, other)

    return operator


class Tensor:
    """A float32 array, and what is needed to differentiate through it.

    ``+ - * / @``, unary minus, ``reshape``, ``sum`` and ``mean`` are the functions of :mod:`binnet.ops` in another
    spelling (ADR 0026); the other operand may be a tensor, an array or a number, on either side. ``==`` compares
    identity; ``<``, ``bool(x)`` and ``float(x)`` are TypeErrors.

    Parameters
    ----------
    data
        Real numbers of any shape; TypeError for others. A float32 array is shared, anything else is converted.
    requires_grad
        Whether :meth:`backward` stores the derivative in ``grad``.

    Attributes
    ----------
    data : float32 array
        May be changed in place, but not between a forward pass and its :meth:`backward`, which then raises
        RuntimeError. Once ``data`` has been read, the array is watched for changes (ADR 0024).
    array : float32 array
        The same, only to be read.
    grad : float32 array of the same shape, or None
        Summed over calls of :meth:`backward`; only leaves (tensors that no op made) get one.
    of_images : bool
        Whether the first axis goes through the images of a batch that workers or micro-batches divide.
    rows : slice or None
        The rows that this worker updates, and whose gradient ``grad`` is; None for all.
    """

    of_images = False
    rows: slice | None = None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            raise TypeError("data is a Tensor already; use .detach() to cut it from its graph")
        array = np.asarray(data)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"data must be real numbers, got dtype {array.dtype}")
        self.array: Float = array.astype(np.float32, copy=False)
        # An array that was shared stays in the hands of the caller, who may change it at any time.
        self.memory = Memory(exposed=self.array is array)
        self.grad: Float | None = None
        self.requires_grad = bool(requires_grad)
        self.node: Node | None = None

    @property
    def data(self) -> Float:
        """The array itself; once it has been read, it is watched for changes."""
        self.memory.expose()
        return self.array

    @data.setter
    def data(self, array: Float) -> None:
        self.array, self.memory = array, Memory(exposed=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim

    def numpy(self) -> Float:
        """The array itself, not a copy."""
        return self.data

    def detach(self) -> Tensor:
        """The same array outside the graph."""
        result = Tensor(self.data)
        result.of_images = self.of_images
        return result

    def receive(self, grad: Float, owned: bool = False) -> None:
        """Add the gradient of ``rows`` to ``grad``; ``owned``: nobody else reads the array."""
        self.grad = (
            grad.astype(np.float32, copy=not owned) if self.grad is None else np.add(self.grad, grad, out=self.grad)
        )

    def item(self) -> float:
        """The only element, as a Python float; ValueError when there is not exactly one."""
        if self.array.size == 1:
            return float(self.array.reshape(()))
        raise ValueError(f"item() needs a tensor of one element, got shape {self.shape}")

    def backward(self, grad: Any = None) -> None:
        """Add the derivatives of this tensor to ``grad`` of every leaf it was made from, and free the graph.

        ``grad`` is the derivative of the final result with respect to this tensor, of its shape; by default 1, for a
        tensor of one element only. RuntimeError when nothing requires a gradient, or the graph has been freed before.
        """
        if not self.requires_grad:
            raise RuntimeError("backward() on a tensor that does not require a gradient: nothing was recorded for it")
        if grad is None and self.array.size != 1:
            raise ValueError(f"backward() without grad needs a tensor of one element, got shape {self.shape}")
        given = np.ones(self.shape) if grad is None else grad.array if isinstance(grad, Tensor) else grad
        start = np.asarray(given, np.float32)
        if start.shape != self.shape:
            raise ValueError(f"grad must have the shape of the tensor, {self.shape}, got {start.shape}")
        _sweep(self, start)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """:func:`binnet.ops.reshape`; the lengths as one tuple or one by one."""
        return operations["reshape"](self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        """:func:`binnet.ops.sum`."""
        return operations["sum"](self, axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        """:func:`binnet.ops.mean`."""
        return operations["mean"](self, axis, keepdims)

    # NumPy then leaves `array + tensor` to the tensor, in place of making an array of objects.
    __array_ufunc__ = None

    __add__, __radd__ = _operator("add"), _operator("add", swapped=True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", swapped=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", swapped=True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", swapped=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", swapped=True)

    def __neg__(self) -> Tensor:
        return operations["neg"](self)

    def __bool__(self) -> bool:
        raise TypeError("a tensor has no truth value: compare its only element, x.item(), or its array, x.data")

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        suffix = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({np.array2string(self.array, prefix='Tensor(', threshold=20)}, shape={self.shape}{suffix})"


Operand = Tensor | Float | float


class Function:
    """A differentiable operation: two static methods on arrays.

    ``forward(ctx, *arrays, **options)`` returns an array; ``backward(ctx, grad)`` takes the derivative with respect to
    that array and returns one gradient (or None) for each positional input, as a tuple when there are several. Neither
    writes to its arguments, except ``backward`` to ``grad`` where ``ctx.owns_grad`` is True. ``backward`` returns new
    arrays, ``grad``, or views of ``grad``, but never a saved array.

    Attributes
    ----------
    sums_over_images
        Whether gradients of inputs that are the same for all images, such as weights, are summed with the methods of
        ``ctx``. Otherwise such inputs are refused where workers or micro-batches divide a batch.
    """

    sums_over_images = False

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

        ``inputs`` are tensors, or anything else (arrays, None), which is handed on as it is and gets no gradient.
        """
        tensors = [i if isinstance(i, Tensor) else None for i in inputs]
        needs_grad = tuple(state.enabled and t is not None and t.requires_grad for t in tensors)
        ctx = Context(needs_grad, tuple(t is not None and t.of_images for t in tensors), state.batch)
        arrays = [i.array if isinstance(i, Tensor) else i for i in inputs]
        result = cls.forward(ctx, *arrays, **options)
        memories = [_memory(i) for i in inputs]
        out = Tensor(result, requires_grad=any(ctx.needs_grad))
        out.of_images = ctx.gives_images
        shared = (m for m, a in zip(memories, arrays, strict=True) if m and np.may_share_memory(a, result))
        out.memory = next(shared, None) or Memory(exposed=False)  # a view lies in the memory of its input
        if out.requires_grad:
            name = cls.__name__
            # Link to nodes, not tensors: then an intermediate array can be freed unless a function has saved it.
            wanted = ((i.node or i) if needed else None for i, needed in zip(inputs, ctx.needs_grad, strict=True))
            # Watch what `backward` may read: the inputs, and the result if it was saved (ADR 0024).
            watches = [(f"an input of {name}", m.watch(a)) for m, a in zip(memories, arrays, strict=True) if m]
            if any(value is result for value in ctx.saved):
                watches.append((f"the result of {name}", out.memory.watch(out.array)))
            out.node = Node(cls, ctx, tuple(wanted), out.shape, watches)
        if state.recorder is not None:
            state.recorder.add(cls, inputs, options, out)
        return out


def _memory(value: Any) -> Memory | None:
    if isinstance(value, Tensor):
        return value.memory
    return Memory(exposed=True) if isinstance(value, np.ndarray) else None  # its owner may change it at any time


@dataclass(eq=False)
class Node:
    """One recorded call: the function, its context, and the receivers of the gradients of its inputs.

    ``inputs[i]`` receives the i-th gradient: a leaf Tensor, the producing Node, or None. ``shape`` is that of the
    result. ``watches`` are on the arrays that the backward pass may read, with a name for each.
    """

    function: type[Function]
    ctx: Context
    inputs: tuple[Tensor | Node | None, ...]
    shape: tuple[int, ...]
    watches: list[tuple[str, Watch]]
    order: int = field(default_factory=lambda: next(_clock))  # an input is always older than what is made from it
    freed: bool = False

    def backward(self, grad: Float, owned: bool) -> tuple[Grad, ...]:
        """Gradients of the inputs, checked for number and shape; ``owned``: nobody else reads ``grad``."""
        for what, watch in self.watches:
            watch.check(what)
        self.ctx.owns_grad = owned
        grads = self.function.backward(self.ctx, grad)
        grads = grads if isinstance(grads, tuple) else (grads,)
        name = self.function.__name__
        if len(grads) != len(self.inputs):
            raise RuntimeError(f"{name}.backward returned {len(grads)} gradients for {len(self.inputs)} inputs")
        for source, value in zip(self.inputs, grads, strict=True):
            # The sum of two gradients would broadcast a wrong shape without an error.
            if source is not None and value is not None and value.shape != source.shape:
                raise RuntimeError(f"{name}.backward returned a gradient {value.shape} for an input {source.shape}")
        if self.ctx.gives_images and not self.function.sums_over_images:
            for source, of_images in zip(self.inputs, self.ctx.of_images, strict=True):
                if source is not None and not of_images:  # its gradient has the images of one worker only
                    raise ValueError(
                        f"{name} has an input without images that learns: set {name}.sums_over_images and sum its "
                        "gradient with ctx.sum_images, or train with one worker and one micro-batch"
                    )
        return grads

    def free(self) -> None:
        """Drop the saved arrays and the links to the inputs, so that memory falls during the sweep."""
        self.inputs, self.ctx.saved, self.watches, self.freed = (), (), [], True


# For each node: the sum of its gradients so far, and whether that array may be overwritten.
Pending = dict[Node, tuple[Float, bool]]


def _sweep(root: Tensor, grad: Float) -> None:
    """Send ``grad`` from ``root`` back to the leaves; iterative, so that the depth of a graph is not limited."""
    pending: Pending = {}
    _deliver(pending, root.node or root, grad, owned=False)
    # Newest first means that all consumers of a result come before its node, whose gradient is then complete.
    for node in [] if root.node is None else _newest_first(root.node):
        if node in pending:
            _visit(node, pending)
        node.free()


def _visit(node: Node, pending: Pending) -> None:
    grad, owned = pending.pop(node)
    grads = node.backward(grad, owned)
    # An array may be overwritten only if nothing else that is still read shares its memory.
    arrays = [g for g in grads if isinstance(g, np.ndarray)] + ([] if owned else [grad])
    for source, value in zip(node.inputs, grads, strict=True):
        if isinstance(value, Later):
            # A leaf waits for the other workers until the sweep is over; what computes with the gradient cannot.
            if isinstance(source, Tensor):
                value.send_to(source)
            elif source is not None:
                _deliver(pending, source, value.now(), owned=True)
        elif source is not None and value is not None:
            alone = sum(bool(np.may_share_memory(value, other)) for other in arrays) == 1
            # Functions write their results into it, and kernels write only to arrays whose values lie in order.
            _deliver(pending, source, value, alone and value.flags.writeable and value.flags.c_contiguous)


def _newest_first(root: Node) -> list[Node]:
    """All nodes that lead to ``root``, newest first: each node comes before those that made its inputs."""
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


def _deliver(pending: Pending, source: Tensor | Node, value: Float, owned: bool) -> None:
    """Add ``value`` to ``grad`` of a leaf, or to what is pending for a node."""
    if isinstance(source, Tensor):
        source.receive(value if source.rows is None else value[source.rows], owned)
    elif source in pending:
        known, known_owned = pending[source]
        # A gradient is as large as its map: to save memory, add in place if one may be overwritten (ADR 0020).
        out = known if known_owned else value if owned else None
        pending[source] = np.add(known, value, out=out, order="C"), True
    else:
        pending[source] = value, owned
