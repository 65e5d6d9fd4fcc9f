"""Training: Algorithm 1 of the paper over epochs, into a run folder. ``python -m binnet.train`` is ``binnet train``.

Public names are imported on first use, so that reading a configuration does not import the training loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import TrainConfig
    from .divergence import TrainingError
    from .loop import TrainingInterruptedError
    from .stages import fit
    from .trainer import Result

__all__ = ["Result", "TrainConfig", "TrainingError", "TrainingInterruptedError", "fit"]

_MODULE_OF = {
    "Result": "trainer",
    "TrainConfig": "config",
    "TrainingError": "divergence",
    "TrainingInterruptedError": "loop",
    "fit": "stages",
}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use; AttributeError for any other name."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
