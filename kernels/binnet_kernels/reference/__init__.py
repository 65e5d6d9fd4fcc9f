"""Every public kernel again in plain NumPy, a few lines each, to read beside the paper (arXiv:1603.05279).

The functions and classes here have the names, arguments, results and errors of the fast ones in ``binnet_kernels``,
and are the second of the three forms each kernel has (naive loops stand in the tests). Integers agree exactly between
the backends; floating-point sums agree up to the order of summation.
"""

from __future__ import annotations

from typing import Any

from ..backend import IN_NUMPY
from ..fused.bit_map import BitMap as BitMap
from ..fused.byte_map import ByteMap as ByteMap
from ..fused.epilogue import Epilogue as Epilogue
from ..lowbit.rounding import QuantisedGradient as QuantisedGradient


def __getattr__(name: str) -> Any:
    """What has a front door: that, always in the NumPy form. Front doors import the modules of this package."""
    if name == "__all__":
        return __dir__()
    try:
        return IN_NUMPY[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*IN_NUMPY, "BitMap", "ByteMap", "Epilogue", "QuantisedGradient"})
