"""The one switch between the two backends of the arithmetic: the fast kernels and their NumPy twins."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import binnet_kernels
from binnet_kernels import reference
from binnet_kernels.backend import active
from binnet_kernels.backend import use_backend as use_backend

BACKENDS: dict[str, ModuleType] = {"fast": binnet_kernels, "reference": reference}


def kernels() -> Any:
    """The module that computes: ``binnet_kernels``, or ``binnet_kernels.reference`` inside ``use_backend``."""
    return BACKENDS[active()]
