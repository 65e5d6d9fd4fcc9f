"""The chapters of the documentation that explain the steps of a trace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """A chapter of the documentation.

    Attributes
    ----------
    page : str
        File name of its page, without a suffix.
    title : str
        Its title, which begins with its number.
    """

    page: str
    title: str

    def address(self, folder: str | None) -> str | None:
        """Address of the page in the folder of all chapters; None when the folder is not known."""
        return None if folder is None else f"{folder.rstrip('/')}/{self.page}.html"


WHY = Chapter("1-why-binary", "1 Why binary")
WEIGHTS = Chapter("2-binary-weights", "2 Binary weights")
BITS = Chapter("3-dot-products-of-bits", "3 Dot products of bits")
SCALES = Chapter("4-xnor-convolution", "4 XNOR convolution: the scales")
CONVOLUTION = Chapter("4-on-a-photograph", "4 XNOR convolution: on a photograph")
COST = Chapter("7-results", "7 What it costs: the paper's tables, measured here")
