"""Reproduction of the comparisons of the paper's tables 1 to 3 on any images: tables, runs, costs and report."""

from .report import draw, markdown, write
from .runs import Outcome, recorded, run
from .tables import NAMES, Claim, Row, Table, noise, table

__all__ = [
    "NAMES",
    "Claim",
    "Outcome",
    "Row",
    "Table",
    "draw",
    "markdown",
    "noise",
    "recorded",
    "run",
    "table",
    "write",
]
