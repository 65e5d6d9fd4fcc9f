"""binnet: XNOR-Net (arXiv:1603.05279) from scratch. Train and run binary neural networks on a CPU."""

from . import models, nn, ops, optim, schedules
from .autograd import Function, gradcheck, is_grad_enabled, no_grad
from .backend import kernels, use_backend
from .ops import cross_entropy, squared_hinge
from .packed import PackedModel, load, pack
from .tensor import Tensor

__version__ = "0.1.0"

__all__ = [
    "Function",
    "PackedModel",
    "Tensor",
    "cross_entropy",
    "gradcheck",
    "is_grad_enabled",
    "kernels",
    "load",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "pack",
    "schedules",
    "squared_hinge",
    "use_backend",
]
