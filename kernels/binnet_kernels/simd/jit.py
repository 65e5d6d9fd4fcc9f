"""The only place that calls ``numba.njit``: what a kernel is, and with which options it is compiled.

A *kernel* is a function over flat, C-contiguous arrays whose outer loop is a ``prange``. It is compiled twice from one
text, when first called: as a serial function that never touches the thread pool, and as a parallel one. A *helper* is
a compiled function that only kernels call. Nothing is compiled at import.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial, update_wrapper
from types import FunctionType
from typing import Any, cast

from numba import config, njit

from .cache import KernelCache
from .threads import get_num_threads, run_in_pool

# `numpy`: a division by 0 gives inf or NaN, without the branch for an exception. `nogil`: threads of a server run
# kernels side by side (ADR 0011). No fastmath: it would change the order of sums, and remove tests for NaN.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}


def helper(python: Callable[..., Any]) -> Callable[..., Any]:
    """A function for use inside kernels."""
    compiled: Callable[..., Any] = njit(**OPTIONS)(python)
    return compiled


def inlined(python: Callable[..., Any]) -> Callable[..., Any]:
    """A helper that becomes part of each kernel that calls it: a call would send a tile through memory, twice."""
    compiled: Callable[..., Any] = njit(forceinline=True, **OPTIONS)(python)
    return compiled


class Kernel:
    """A compiled function with a serial and a parallel form."""

    def __init__(self, python: Callable[..., Any]) -> None:
        self.python = python
        update_wrapper(self, python)

    def __call__(self, *arguments: Any) -> Any:
        threads = get_num_threads()
        if threads == 1:
            return self.serial(*arguments)
        return run_in_pool(self.parallel, arguments, threads)

    @cached_property
    def serial(self) -> Any:
        """The form that never enters the thread pool: also for work that takes less time than waking other threads."""
        return self._compiled("serial", parallel=False)

    @cached_property
    def parallel(self) -> Any:
        """The form whose ``prange`` runs on Numba's threads."""
        return self._compiled("parallel", parallel=True)

    def _compiled(self, form: str, parallel: bool) -> Any:
        source: Any = self.python
        function = FunctionType(source.__code__, source.__globals__, f"{source.__name__}_{form}", source.__defaults__)
        function.__qualname__ = f"{source.__qualname__}_{form}"  # Numba names machine code by it: twins must differ
        function.__module__ = source.__module__
        dispatcher = njit(parallel=parallel, **OPTIONS)(function)
        cache = dispatcher._cache = KernelCache(f"{source.__module__}.{function.__qualname__}")
        dispatcher.compile = partial(cache.compile_once, compile=dispatcher.compile)
        return dispatcher


def kernel(python: Callable[..., Any]) -> Kernel:
    """Mark a function as a kernel. With ``NUMBA_DISABLE_JIT`` it stays what it is, and is stepped through as such."""
    if not config.DISABLE_JIT:
        return Kernel(python)
    plain: Any = python
    plain.python = plain.serial = python
    return cast(Kernel, plain)
