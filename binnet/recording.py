"""Recording of the calls of operations while a network runs; :mod:`binnet.graph` turns them into a graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .autograd import Function, Tensor
from .context import state
from .watch import fingerprint


class Call(NamedTuple):
    """One call of a :class:`binnet.Function` while :func:`recording`.

    Attributes
    ----------
    function : Function class
    inputs, options
        As given to :meth:`binnet.Function.apply`.
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


class Recorder:
    """List of the calls so far, and the modules that are running, the innermost last."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._modules: list[Any] = []

    def add(self, function: type[Function], inputs: tuple[Any, ...], options: dict[str, Any], result: Tensor) -> None:
        """List a call."""
        arrays = [value.array if isinstance(value, Tensor) else value for value in (*inputs, result)]
        # Fingerprints tell the tracer, which looks at the calls afterwards, of changes in place.
        prints = tuple(fingerprint(a) if isinstance(a, np.ndarray) and a.dtype != object else b"" for a in arrays)
        module = self._modules[-1] if self._modules else None
        self.calls.append(Call(function, inputs, options, result, module, prints))

    @contextmanager
    def running(self, module: Any) -> Iterator[None]:
        """Within this block, calls are listed as those of ``module``."""
        self._modules.append(module)
        try:
            yield
        finally:
            self._modules.pop()


@contextmanager
def recording() -> Iterator[list[Call]]:
    """Within this block, and this thread, every call of a Function is added to the list that it gives."""
    before, state.recorder = state.recorder, Recorder()
    try:
        yield state.recorder.calls
    finally:
        state.recorder = before
