"""The one switch between the two backends of the arithmetic: the fast kernels and their NumPy twins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Protocol

import binnet_kernels
from binnet_kernels import reference

BACKENDS: dict[str, ModuleType] = {"fast": binnet_kernels, "reference": reference}

_active: ContextVar[str] = ContextVar("binnet_backend", default="fast")
_watcher: ContextVar[Watcher | None] = ContextVar("binnet_watcher", default=None)


class Watcher(Protocol):
    """Somebody who looks at every use of a kernel."""

    def watched(self, module: ModuleType) -> Any:
        """What stands in for the module of kernels."""


def kernels() -> Any:
    """The module that computes: ``binnet_kernels``, or ``binnet_kernels.reference`` inside ``use_backend``."""
    module, watcher = BACKENDS[_active.get()], _watcher.get()
    return module if watcher is None else watcher.watched(module)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Within this block (and this thread or task) ``watcher`` stands between operations and kernels."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


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
