"""Where the time of a training step goes, by phase and by kind of work. It looks on from outside: kernels do not know.

Every operation reaches the kernels through :func:`binnet.backend.kernels`; while a profile watches, that function hands
out the same kernels with a clock around each call.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import backend

PHASES = ("forward", "backward", "update")

# What each kernel is counted under, and what its speed is told in.
KINDS = {
    "popcount convolution": ("convolve_bits", "quantised_grad_input", "quantised_grad_weight"),
    "float gradients of binary layers": ("sign_grad_input", "sign_grad_weight"),
    "real layers": ("conv2d", "conv2d_grad_input", "conv2d_grad_weight"),
    "normalisation, signs, packing": (
        *("batch_statistics", "batch_norm_inference", "batch_norm_grad"),
        *("signs", "sign", "scale_map", "norm_signs", "norm_signs_grad", "quantise_gradient"),
    ),
    "element-wise": ("relu", "relu_grad", "add"),
    "pooling": (
        *("max_pool2d", "max_pool2d_winners", "max_pool2d_grad_winners"),
        *("avg_pool2d", "avg_pool2d_grad"),
    ),
    "binary weights": ("XnorConv2d", "weight_alpha", "weight_hat", "grad_alpha", "straight_through"),
    "loss": ("softmax_cross_entropy", "softmax_cross_entropy_grad"),
    "update": ("adam_update", "sgd_update"),
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
MULTIPLYING = ("popcount convolution", "float gradients of binary layers", "real layers")
OTHER = "everything else"  # NumPy, Python, and kernels that are not named above


@dataclass
class Spent:
    """Sums over calls: seconds, and the work done, in multiply-adds or in bytes read and written."""

    seconds: float = 0.0
    work: float = 0.0


class Profile:
    """The figures of some steps of a training.

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
        By phase and kind; kernels only.
    phases
        Seconds of each phase.
    total
        Seconds of all steps watched, with what lies between them: waiting for data.
    """

    def __init__(self, steps: int = 10, skip: int = 3, done: Callable[[Profile], None] | None = None) -> None:
        self.steps, self.skip, self.done = steps, skip, done
        self.spent: dict[tuple[str, str], Spent] = {}
        self.phases = dict.fromkeys(PHASES, 0.0)
        self.total, self._seen, self._start, self._phase = 0.0, 0, 0.0, PHASES[0]

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around one step of the training."""
        self._seen += 1
        if not 0 < self._seen - self.skip <= self.steps:
            yield
            return
        if self._seen == self.skip + 1:
            self._start = time.perf_counter()
        with backend.watching(self):
            yield
        if self._seen == self.skip + self.steps:
            self.total = time.perf_counter() - self._start
            if self.done is not None:
                self.done(self)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Around one phase of a step."""
        self._phase, start = name, time.perf_counter()
        yield
        self.phases[name] += time.perf_counter() - start

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` with a clock around it; a class gives objects whose methods have one, too."""

        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            seconds = time.perf_counter() - start
            spent = self.spent.setdefault((self._phase, KIND_OF.get(name, OTHER)), Spent())
            spent.seconds += seconds
            spent.work += _work(name, arguments, result)
            return _Timed(result, self) if isinstance(function, type) else result

        return call


class _Timed:
    """A module of kernels, or a prepared convolution, whose functions are timed."""

    def __init__(self, inner: Any, profile: Profile) -> None:
        self._inner, self._profile = inner, profile

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._profile.timed(name, value) if callable(value) else value


def phase(name: str) -> Any:
    """A context around one phase of a training step, for whoever watches."""
    return backend.phase(name)


def _work(name: str, arguments: tuple[Any, ...], result: Any) -> float:
    """Multiply-adds of a convolution or its gradients, or bytes of all arrays that a kernel is given and returns."""
    if KIND_OF.get(name) in MULTIPLYING:
        return _multiply_adds(name, arguments, result)
    arrays = {id(a): a.nbytes for a in (*arguments, *_row(result)) if isinstance(a, np.ndarray)}
    return sum(arrays.values())


def _multiply_adds(name: str, arguments: tuple[Any, ...], result: Any) -> float:
    """Outputs of the convolution times what each is a sum of."""
    return 0.0


def _row(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)
