"""Which of its two forms a kernel runs in: compiled, or in plain NumPy; and which kernels there are.

A *front door* is the public function of a kernel. It checks its arguments once and hands checked arrays to the form of
the active backend. Both forms have one signature and check nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

BACKENDS = ("fast", "reference")
# Kinds of work, in the order of a profile's table. The first three multiply and add, all others read and write.
KINDS = (
    POPCOUNT := "popcount convolution",
    FLOAT_GRADIENTS := "float gradients of binary layers",
    REAL := "first, last and other real layers",
    PACKING := "normalisation and packing",
    ELEMENTWISE := "element-wise",
    POOLING := "pooling",
    WEIGHTS := "weights",
    LOSS := "loss",
    COMMUNICATION := "communication of workers",
    REST := "everything else",
)


def jit_disabled() -> bool:
    """Whether the environment variable ``NUMBA_DISABLE_JIT`` switches the compiler off: an integer other than 0.

    Numba reads the variable in the same way, and ignores it when it is no integer. The variable is what counts here: a
    file ``.numba_config.yaml`` does not change the backend, because only Numba reads it, and its import takes 0.2 s.
    """
    try:
        return int(os.environ.get("NUMBA_DISABLE_JIT", "0")) != 0
    except ValueError:
        return False


# Without the compiler, compiled forms run as plain Python that emulates vectors: that is of use to their tests alone.
_JIT_DISABLED = jit_disabled()
_numpy: ContextVar[bool] = ContextVar("binnet_backend", default=_JIT_DISABLED)
# Whether front doors run the NumPy form. A bound method of C: a call of a kernel does not pay for a Python function.
in_numpy: Callable[[], bool] = _numpy.get

_Function = TypeVar("_Function", bound=Callable[..., Any])


def active() -> str:
    """The name of the active backend."""
    return BACKENDS[in_numpy()]


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute with another backend within this block (and this thread or task).

    Parameters
    ----------
    name
        ``"fast"`` (compiled) or ``"reference"`` (plain NumPy, to compare and to step through). The first is the
        default, unless ``NUMBA_DISABLE_JIT`` switches the compiler off.

    Raises
    ------
    ValueError
        For any other word.
    """
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; there are: {', '.join(BACKENDS)}")
    token = _numpy.set(name == "reference")
    try:
        yield
    finally:
        _numpy.reset(token)


@dataclass(frozen=True)
class Work:
    """What a profile says of the calls of a kernel.

    Attributes
    ----------
    kind
        Calls of one kind are added up.
    multiply_adds
        How many a call does, from its result and its arguments; None for kernels whose work is to read and write.
    """

    kind: str = REST
    multiply_adds: Callable[..., int] | None = None


IN_NUMPY: dict[str, Callable[..., Any]] = {}  # front doors by name, always in the NumPy form
WORK: dict[tuple[Any, str], Work] = {}  # by owner, a class or None for the package, and name there


def front_door(
    kind: str = REST, multiply_adds: Callable[..., int] | None = None, **methods: Work
) -> Callable[[_Function], _Function]:
    """Make a function or class a name of :mod:`binnet_kernels.reference` too, where it always runs the NumPy form.

    Parameters
    ----------
    kind, multiply_adds
        See :class:`Work`; of a class, that of preparing an object.
    methods
        What methods of a class do.
    """

    def register(function: _Function) -> _Function:
        @wraps(function)
        def in_reference(*arguments: Any, **options: Any) -> Any:
            with use_backend("reference"):
                return function(*arguments, **options)

        IN_NUMPY[function.__name__] = in_reference
        if isinstance(function, type):
            WORK[function, "__init__"] = Work(kind)
            WORK.update({(function, name): work for name, work in methods.items()})
        else:
            WORK[None, function.__name__] = Work(kind, multiply_adds)
        return function

    return register


class Late:
    """A module that is imported when one of its names is first used, because importing Numba takes 0.2 s."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._module), name)
        setattr(self, name, value)
        return value
