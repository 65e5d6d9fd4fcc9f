"""Which of its two forms a kernel runs in: compiled, or in plain NumPy.

A *front door* is the public function of a kernel. It checks its arguments once and hands checked arrays to the form of
the active backend. Both forms have one signature and check nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

BACKENDS = ("fast", "reference")

_active: ContextVar[str] = ContextVar("binnet_backend", default="fast")
_doors: dict[str, Callable[..., Any]] = {}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def active() -> str:
    """The name of the active backend."""
    return _active.get()


def in_numpy() -> bool:
    """Whether front doors run the NumPy form."""
    return _active.get() == "reference"


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute with another backend within this block (and this thread or task).

    Parameters
    ----------
    name
        ``"fast"`` (compiled, the default) or ``"reference"`` (plain NumPy, to compare and to step through).

    Raises
    ------
    ValueError
        For any other word.
    """
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; there are: {', '.join(BACKENDS)}")
    token = _active.set(name)
    try:
        yield
    finally:
        _active.reset(token)


def front_door(function: _Function) -> _Function:
    """Make ``function`` a name of :mod:`binnet_kernels.reference` as well, where it always runs the NumPy form."""

    @wraps(function)
    def in_reference(*arguments: Any, **options: Any) -> Any:
        with use_backend("reference"):
            return function(*arguments, **options)

    _doors[function.__name__] = in_reference
    return function


def reference_of(name: str) -> Callable[..., Any]:
    """The front door of this name, always in the NumPy form.

    Raises
    ------
    KeyError
        When there is none.
    """
    return _doors[name]


class Late:
    """A module that is imported when one of its names is first used, because importing Numba takes 0.2 s."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._module), name)
        setattr(self, name, value)
        return value
