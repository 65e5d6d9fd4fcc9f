"""Trace of a binary layer on an image, step by step: every symbol of arXiv:1603.05279, Eq. 11, as an array."""

from .answer import Answer
from .approximation import Fit, fit
from .arithmetic import Trace, trace_layer
from .checks import Check, checks
from .layer import Layer
from .page import embedded, page, write_page
from .picture import Picture, trace_filters, trace_image
from .source import Source, fresh_source, named_source, open_source

__all__ = [
    "Answer",
    "Check",
    "Fit",
    "Layer",
    "Picture",
    "Source",
    "Trace",
    "checks",
    "embedded",
    "fit",
    "fresh_source",
    "named_source",
    "open_source",
    "page",
    "trace_filters",
    "trace_image",
    "trace_layer",
    "write_page",
]
