"""Where the time of a training step goes, by phase and by kind of work. It looks on from outside: kernels do not know.

Every operation reaches the kernels through :func:`binnet.backend.kernels`; while a profile watches, that function hands
out the same kernels with a clock around each call.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from . import backend

PHASES = ("forward", "backward", "update")
KINDS = {
    "popcount convolution": ("convolve_bits", "quantised_grad_input", "quantised_grad_weight"),
    "float gradients of binary layers": ("sign_grad_input", "sign_grad_weight"),
    "first, last and other real layers": (
        *("conv2d", "conv2d_grad_input", "conv2d_grad_weight"),
        *("grouped_conv2d", "grouped_conv2d_grad_input", "grouped_conv2d_grad_weight"),
    ),
    "normalisation and packing": (
        *("batch_statistics", "batch_norm_inference", "batch_norm_grad", "norm_relu", "norm_signs", "norm_signs_grad"),
        *("signs", "sign", "scale_map", "quantise_gradient"),
    ),
    "element-wise": ("relu", "relu_grad", "add"),
    "pooling": (*("max_pool2d", "max_pool2d_winners", "max_pool2d_grad_winners", "avg_pool2d", "avg_pool2d_grad"),),
    "weights": (
        *("weight_alpha", "weight_hat", "weight_gradient", "grad_alpha", "XnorConv2d", "BwnConv2d", "KbitConv2d"),
        *("adam_update", "sgd_update"),
    ),
    "loss": ("softmax_cross_entropy", "softmax_cross_entropy_grad"),
}
MULTIPLYING = ("popcount convolution", "float gradients of binary layers", "first, last and other real layers")
REST = "everything else"  # Python, NumPy, and kernels that are not named above
_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}

_active: ContextVar[Profile | None] = ContextVar("binnet_profile", default=None)


@dataclass
class Spent:
    """Totals over calls: seconds, and the work done, in multiply-adds or in bytes of all arrays read and written."""

    seconds: float = 0.0
    work: float = 0.0


class Profile:
    """Measurements of some steps of a training.

    Parameters
    ----------
    steps
        How many to watch.
    skip
        How many to let pass before, in which kernels are compiled and memory is found.
    done
        Called with this profile after the last of them.

    Attributes
    ----------
    spent
        By phase and kind, kernels only.
    phases
        Seconds of each phase.
    total
        Seconds of all steps watched, with what lies between them, which is waiting for data.
    """

    def __init__(self, steps: int = 10, skip: int = 3, done: Callable[[Profile], None] | None = None) -> None:
        self.steps, self.skip, self.done = steps, skip, done
        self.spent: dict[tuple[str, str], Spent] = {}
        self.phases = dict.fromkeys(PHASES, 0.0)
        self.total, self._seen, self._start, self._phase = 0.0, 0, 0.0, PHASES[0]

    @contextmanager
    def step(self) -> Iterator[None]:
        """Context manager around one step of the training."""
        self._seen += 1
        number = self._seen - self.skip
        if not 1 <= number <= self.steps:
            yield
            self._start = time.perf_counter()
            return
        self._start = self._start or time.perf_counter()
        token = _active.set(self)
        try:
            with backend.watching(self):
                yield
        finally:
            _active.reset(token)
        if number == self.steps:
            self.total = time.perf_counter() - self._start
            if self.done is not None:
                self.done(self)

    def rows(self) -> Iterator[tuple[str, str, Spent]]:
        """Phase, kind and totals of everything that took time, in order, and the rest of each phase."""
        for phase in PHASES:
            kinds = [(kind, self.spent[phase, kind]) for kind in (*KINDS, REST) if (phase, kind) in self.spent]
            known = sum(spent.seconds for kind, spent in kinds if kind != REST)
            yield from ((phase, kind, spent) for kind, spent in kinds if kind != REST)
            yield phase, REST, Spent(self.phases[phase] - known)

    def watched(self, module: ModuleType) -> Any:
        """The kernels with their time measured."""
        return _Timed(module, self)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` with its time measured; for a class, the methods of its objects are measured too."""

        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            seconds = time.perf_counter() - start
            spent = self.spent.setdefault((self._phase, _KIND_OF.get(name, REST)), Spent())
            spent.seconds += seconds
            spent.work += _work(name, function, arguments, result)
            return _Timed(result, self) if isinstance(function, type) else result

        return call

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Context manager around one phase of a step."""
        self._phase, start = phase, time.perf_counter()
        yield
        self.phases[phase] += time.perf_counter() - start


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Context manager around one phase of a step, one of ``PHASES``; does nothing without a profile."""
    profile = _active.get()
    if profile is None:
        yield
    else:
        with profile.during(name):
            yield


class _Timed:
    """A module of kernels, or a prepared convolution, whose functions are timed."""

    def __init__(self, inner: Any, profile: Profile) -> None:
        self._inner, self._profile = inner, profile

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._profile.timed(name, value) if callable(value) else value


# Multiply-adds of a convolution: its outputs times what each is a sum of.
_MULTIPLY_ADDS: dict[str, Callable[[Any, tuple[Any, ...], Any], int]] = {
    "convolve_bits": lambda plan, a, y: _size(y.shape) * _depth(plan.weight_signs.shape, a[1][3]),
    "quantised_grad_input": lambda plan, a, y: _size(a[0].shape) * _depth(a[1].shape, a[2][3]),
    "quantised_grad_weight": lambda plan, a, y: _size(a[1].shape) * _size(a[2][1:]),
    "sign_grad_input": lambda plan, a, y: _size(a[0].shape) * _depth(a[1].shape, a[3][3]),
    "sign_grad_weight": lambda plan, a, y: _size(a[1].shape) * _size(a[2][1:]),
    "conv2d": lambda plan, a, y: _size(y.shape) * _size(a[1].shape[1:]),
    "conv2d_grad_input": lambda plan, a, y: _size(a[0].shape) * _size(a[1].shape[1:]),
    "conv2d_grad_weight": lambda plan, a, y: _size(a[1].shape) * _size(a[2][1:]),
    "grouped_conv2d": lambda plan, a, y: _size(y.shape) * _size(a[1].shape[1:]),
    "grouped_conv2d_grad_input": lambda plan, a, y: _size(a[0].shape) * _size(a[1].shape[1:]),
    "grouped_conv2d_grad_weight": lambda plan, a, y: _size(a[1].shape) * _size(a[2][1:]),
}


def _work(name: str, function: Any, arguments: tuple[Any, ...], result: Any) -> float:
    """Multiply-adds of a convolution or its gradients, or bytes of all arrays that a kernel is given and returns."""
    if name in _MULTIPLY_ADDS:
        return float(_MULTIPLY_ADDS[name](getattr(function, "__self__", None), arguments, result))
    results = result if isinstance(result, tuple) else (result,)
    return float(sum({id(a): a.nbytes for a in (*arguments, *results) if isinstance(a, np.ndarray)}.values()))


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _depth(packed: tuple[int, ...], c: int) -> int:
    """Taps of a filter of packed signs (O, KH, KW, words) over ``c`` channels."""
    return packed[1] * packed[2] * c
