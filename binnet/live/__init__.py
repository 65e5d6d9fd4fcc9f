"""What the cells of pages and notebooks share: checks, figures, diagrams, tables, bits, widgets, photograph, networks.

A page starts with ``from binnet import live``; its cells stay short, and everything they show is computed by them. It
needs the packages of the extra ``docs``.
"""

from __future__ import annotations

try:
    import IPython
    import matplotlib
    import pygments
except ImportError as error:
    raise ImportError(
        f'binnet.live needs {error.name}, which comes with the extra of the pages: python -m pip install "binnet[docs]"'
    ) from None

from binnet.live.checks import check, claim
from binnet.live.figures import BLUE, GREEN, ORANGE, PURPLE, RED, axes, maps, show
from binnet.live.flows import diagram
from binnet.live.material import binary_layers, centred, digits, edge_filter, input_of, network, photograph, sections
from binnet.live.output import put, widget
from binnet.live.tables import bits, source, table

del IPython, matplotlib, pygments

__all__ = [
    "BLUE",
    "GREEN",
    "ORANGE",
    "PURPLE",
    "RED",
    "axes",
    "binary_layers",
    "bits",
    "centred",
    "check",
    "claim",
    "diagram",
    "digits",
    "edge_filter",
    "input_of",
    "maps",
    "network",
    "photograph",
    "put",
    "sections",
    "show",
    "source",
    "table",
    "widget",
]
