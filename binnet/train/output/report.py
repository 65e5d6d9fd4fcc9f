"""What receives the metrics of a training: learning curves, TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..diagnostics import Health
from .figures import EpochFigures


class Report(Protocol):
    """Callback that receives the metrics of each epoch."""

    def epoch(self, figures: EpochFigures, layers: Mapping[str, Health]) -> None:
        """Receive the metrics of an epoch and the diagnostics of its binary layers by path."""

    def close(self) -> None:
        """Finish; called once, also when the training ends with an exception."""
