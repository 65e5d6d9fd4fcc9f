"""Checks of a page: one that does not hold ends the build; one that holds is shown."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from binnet.live.output import put


def check(what: str, ours: Any, expected: Any, tolerance: float = 1e-6) -> None:
    """End the build unless two results agree; say on the page how well they do.

    Parameters
    ----------
    what
        ``"Eq. 6"``, and more words if wanted: ``"Eq. 6, on all filters"``. An equation is looked for by its number.
    ours, expected
        Numbers or arrays of one shape.
    tolerance
        Largest difference allowed, as a share of the largest expected value; 0 for whole numbers.
    """
    a, b = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    assert a.shape == b.shape, f"{what}: shapes {a.shape} and {b.shape}"
    worst = float(np.abs(a - b).max(initial=0))
    limit = tolerance * max(1.0, float(np.abs(b).max(initial=0)))
    assert worst <= limit, f"{what}: differs by {worst:.3g}, allowed is {limit:.3g}"  # NaN fails as well
    count = "both agree" if a.size == 1 else f"{a.size:,} numbers agree"
    size = "exactly" if worst == 0 else f"largest difference {worst:.1e}"
    put(f'<p class="check">{html.escape(what)}: {count}, {size}.</p>')


def claim(what: str, holds: bool) -> None:
    """End the build unless ``holds``; show the sentence ``what`` as checked."""
    assert holds, what
    put(f'<p class="check">{html.escape(what)}</p>')
