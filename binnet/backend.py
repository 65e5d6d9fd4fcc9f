"""The one switch between the two backends of the arithmetic: the fast kernels and their NumPy twins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Protocol

import binnet_kernels
from binnet_kernels import reference
from binnet_kernels.backend import active
from binnet_kernels.backend import use_backend as use_backend

BACKENDS: dict[str, ModuleType] = {"fast": binnet_kernels, "reference": reference}

_watcher: ContextVar[Watcher | None] = ContextVar("binnet_watcher", default=None)


class Watcher(Protocol):
    """Somebody who looks at every use of a kernel."""

    def watched(self, module: ModuleType) -> Any:
        """What stands in for the module of kernels."""


def kernels() -> Any:
    """The module that computes: ``binnet_kernels``, or ``binnet_kernels.reference`` inside ``use_backend``."""
    module, watcher = BACKENDS[active()], _watcher.get()
    return module if watcher is None else watcher.watched(module)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Within this block (and this thread or task) ``watcher`` stands between operations and kernels."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
