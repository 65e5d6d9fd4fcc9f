"""binnet: XNOR-Net (arXiv:1603.05279) from scratch. Train and run binary neural networks on a CPU.

A packed model needs none of the training code, so names of that are looked up when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .engine import PackedModel, load

if TYPE_CHECKING:
    from binnet_kernels.backend import use_backend

    from . import graph, models, nn, ops, optim, quantise, schedules
    from .autograd import Function, Tensor
    from .context import is_grad_enabled, no_grad
    from .ops import cross_entropy, distillation, squared_hinge
    from .packing import pack
    from .testing import gradcheck

__version__ = "0.1.0"

__all__ = [
    "Function",
    "PackedModel",
    "Tensor",
    "cross_entropy",
    "distillation",
    "gradcheck",
    "graph",
    "is_grad_enabled",
    "load",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "pack",
    "quantise",
    "schedules",
    "squared_hinge",
    "use_backend",
]

_MODULES = ("graph", "models", "nn", "ops", "optim", "quantise", "schedules")
_MODULE_OF = {
    "Function": "binnet.autograd",
    "gradcheck": "binnet.testing",
    "is_grad_enabled": "binnet.context",
    "no_grad": "binnet.context",
    "cross_entropy": "binnet.ops",
    "distillation": "binnet.ops",
    "squared_hinge": "binnet.ops",
    "pack": "binnet.packing",
    "Tensor": "binnet.ops",  # which gives it its operators
    "use_backend": "binnet_kernels.backend",
}


def __getattr__(name: str) -> Any:
    """A public name of the training code, on its first use."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value  # from then on Python finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
