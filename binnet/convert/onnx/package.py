"""The package ``onnx``, which only these conversions need."""

from __future__ import annotations

from typing import Any

from ..report import ConversionError


def onnx_package() -> Any:
    """The package ``onnx``; ConversionError that says how to install it when it is missing."""
    try:
        import onnx
    except ImportError as error:
        raise ConversionError('ONNX files need the package onnx: pip install "binnet[onnx]"') from error
    return onnx
