"""An array with a gradient. Its operators call the functions of :mod:`binnet.ops` by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from binnet_kernels.checks import Float

from .watch import Memory

if TYPE_CHECKING:
    from .autograd import Node


class Tensor:
    """A float32 array, and what is needed to differentiate through it.

    ``+ - * / @``, unary minus, ``reshape``, ``sum`` and ``mean`` are the functions of :mod:`binnet.ops` in another
    spelling (ADR 0026): ``1 - x`` records what ``ops.subtract(1, x)`` records. The other operand may be a tensor, an
    array or a number, on either side. ``x += y`` makes a new tensor and binds the name to it, as Python does for all
    objects without in-place operators. ``==`` compares identity; ``<``, ``bool(x)`` and ``float(x)`` are TypeErrors. To
    decide on a value, take it with :meth:`item`.

    Parameters
    ----------
    data
        Real numbers of any shape. A float32 array is shared, not copied; anything else is converted.
    requires_grad
        Whether :meth:`backward` stores the derivative with respect to this tensor in ``grad``.

    Attributes
    ----------
    data : float32 array
        May be changed in place. A change between a forward pass and its :meth:`backward` is a RuntimeError there when
        the gradient depends on the array.
    array : float32 array
        The same, only to be read. Reading ``data`` hands the array out: from then on it is compared for changes
        (:class:`binnet.watch.Memory`).
    grad : float32 array of the same shape, or None
        Summed over calls of :meth:`backward`; only leaves (tensors that no op made) get one.

    Raises
    ------
    TypeError
        When ``data`` is not made of real numbers.
    """

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            raise TypeError("data is a Tensor already; use .detach() to cut it from its graph")
        array = np.asarray(data)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"data must be real numbers, got dtype {array.dtype}")
        self.array: Float = array.astype(np.float32, copy=False)
        self.memory = Memory(exposed=self.array is array)
        self.grad: Float | None = None
        self.requires_grad = bool(requires_grad)
        self.node: Node | None = None

    @property
    def data(self) -> Float:
        """See the class."""
        self.memory.expose()
        return self.array

    @data.setter
    def data(self, array: Float) -> None:
        self.array, self.memory = array, Memory(exposed=True)

    def receive(self, grad: Float, owned: bool) -> None:
        """Add a gradient to ``grad``; the array is kept as it is when it is ``owned``, not shared."""
        if self.grad is None:
            self.grad = grad.astype(np.float32, copy=not owned)
        else:
            self.grad += grad

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
        return Tensor(self.data)

    def item(self) -> float:
        """The only element, as a Python float; ValueError when there is not exactly one."""
        if self.array.size != 1:
            raise ValueError(f"item() needs a tensor of one element, got shape {self.shape}")
        return float(self.array.reshape(()))

    def backward(self, grad: Any = None) -> None:
        """Add the derivatives of this tensor to ``grad`` of every leaf it was made from, and free the graph.

        Parameters
        ----------
        grad
            The derivative of the final result with respect to this tensor, same shape; 1 for a tensor of one element.

        Raises
        ------
        RuntimeError
            When nothing here requires a gradient, or a part of the graph has been freed by an earlier call.
        ValueError
            When ``grad`` is missing for more than one element, or has another shape.
        """
        from .autograd import backward

        backward(self, grad)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """:func:`binnet.ops.reshape`; the lengths as one tuple or one by one."""
        return _op("reshape", self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        """:func:`binnet.ops.sum`."""
        return _op("sum", self, axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        """:func:`binnet.ops.mean`."""
        return _op("mean", self, axis, keepdims)

    # NumPy then leaves `array + tensor` to the tensor, in place of making an array of objects.
    __array_ufunc__ = None

    def __add__(self, other: Operand) -> Tensor:
        return _op("add", self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return _op("add", other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return _op("subtract", self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return _op("subtract", other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return _op("mul", self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return _op("mul", other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return _op("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return _op("divide", other, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return _op("matmul", self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return _op("matmul", other, self)

    def __neg__(self) -> Tensor:
        return _op("neg", self)

    def __bool__(self) -> bool:
        raise TypeError("a tensor has no truth value: compare its only element, x.item(), or its array, x.data")

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        suffix = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({np.array2string(self.array, prefix='Tensor(', threshold=20)}, shape={self.shape}{suffix})"


Operand = Tensor | Float | float


def _op(name: str, *arguments: Any) -> Tensor:
    """Call a function of :mod:`binnet.ops`, which is imported here because it imports the tensor itself."""
    from . import ops

    result: Tensor = getattr(ops, name)(*arguments)
    return result
