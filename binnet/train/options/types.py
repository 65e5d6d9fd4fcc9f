"""Types of the options of a training: what msgspec accepts, and how an error message names it; and their fields.

In strict mode, the default, msgspec takes a whole number for a float and a list for a tuple; otherwise the type must be
the one that is named: a bool is no int, and a string is never read as a number.
"""

from __future__ import annotations

import sys
from dataclasses import field
from typing import Annotated, Any

from msgspec import Meta

from ...nn.options import CHOICES
from ...ops.loss import COOLEST, HOTTEST

_LARGEST = sys.float_info.max  # as a limit it keeps out infinity and, like any limit, NaN

Word = Annotated[str, Meta(description="a word")]
Switch = Annotated[bool, Meta(description="true or false")]
Whole = Annotated[int, Meta(description="a whole number")]
Natural = Annotated[int, Meta(ge=0, description="a whole number of at least 0")]
Count = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
NonNegative = Annotated[float, Meta(ge=0, le=_LARGEST, description="a finite number of at least 0")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
Part = Annotated[float, Meta(gt=0, le=1, description="a number above 0 and at most 1")]
Fraction = Annotated[float, Meta(ge=0, lt=1, description="a number of at least 0 and below 1")]
Temperature = Annotated[float, Meta(ge=COOLEST, le=HOTTEST, description=f"a number from {COOLEST} to {HOTTEST}")]
Numbers = Annotated[
    tuple[Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)], ...], Meta(description="a row of finite numbers")
]


class ConfigError(ValueError):
    """A configuration that cannot be: one sentence that names the option."""


def option(default: object, text: str, choices: tuple[object, ...] = (), **more: object) -> Any:
    """A field of a configuration with its default, its help ``text`` and the values there are to choose from."""
    return field(default=default, metadata={"help": text, "choices": choices, **more})


def binary(name: str, text: str) -> Any:
    """The field of an option of binary layers: its words, of which the first is the default, are in ``CHOICES``."""
    return option(CHOICES[name][0], text, CHOICES[name])


def flag(name: str) -> str:
    """The name of an option as the command line has it."""
    return "--" + name.replace("_", "-")
