"""Comparisons of the paper's tables, and of later blocks, on any images: tables, runs, costs, chance and report."""

from .chance import Accuracy, limit, noise
from .comparison import Claim, Row, Table
from .report import draw, markdown, write
from .runs import Outcome, Run, recorded, run
from .tables import NAMES, table

__all__ = [
    "NAMES",
    "Accuracy",
    "Claim",
    "Outcome",
    "Row",
    "Run",
    "Table",
    "draw",
    "limit",
    "markdown",
    "noise",
    "recorded",
    "run",
    "table",
    "write",
]
