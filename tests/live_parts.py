"""Modules of `binnet.live`, for tests that run only where the packages of the pages are installed."""

import importlib
from typing import Any

import pytest


def part(name: str) -> Any:
    """A module of `binnet.live`."""
    for package in ("IPython", "matplotlib", "pygments"):
        pytest.importorskip(package, reason="binnet.live needs the packages of an extra: pip install '.[docs]'")
    return importlib.import_module(f"binnet.live.{name}")
