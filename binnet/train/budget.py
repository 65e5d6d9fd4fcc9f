"""A training that ends on time: how many steps fit into a number of seconds."""

from __future__ import annotations

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smh])")


def seconds(text: str) -> float:
    """A duration such as ``"90s"``, ``"20m"``, ``"1.5h"`` or ``"1h30m"`` in seconds; ValueError for anything else."""
    parts = _PART.findall(text)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or total <= 0:
        raise ValueError(f"a duration is written like 90s, 20m, 1.5h or 1h30m, and is not 0; got {text!r}")
    return total


def steps_within(left: float, step: float, epoch_end: float, steps_per_epoch: int, least: int = 1) -> int:
    """How many updates fit, with the end of an epoch after every ``steps_per_epoch`` of them and after the last.

    Parameters
    ----------
    left
        Seconds to fill.
    step, epoch_end
        Seconds of an update, and of validating and saving at the end of an epoch.
    steps_per_epoch
        At least 1.
    least
        Epochs at least, however little time is left.

    Returns
    -------
    int
        Any number, so that the last epoch may be cut short. A rest of less than a twentieth of an epoch is not used.
    """
    epochs, rest = divmod(left, steps_per_epoch * step + epoch_end)
    more = int((rest - epoch_end) / step)
    if more < steps_per_epoch / 20:
        more = 0
    return max(int(epochs) * steps_per_epoch + more, least * steps_per_epoch)


def corrected(
    total: int, done: int, left: float, limit: float, step: float, epoch_end: float, steps_per_epoch: int
) -> int:
    """The length of a training under way, in updates.

    Parameters
    ----------
    total, done
        The length so far, and updates made.
    left, limit
        Seconds of the budget that are left, and all of them.
    step, epoch_end, steps_per_epoch
        As for :func:`steps_within`, as measured in the epoch just finished.

    Returns
    -------
    int
        ``total`` as long as the training comes out within a twentieth of ``limit``, otherwise what fits.
    """
    to_do = total - done
    misses_by = to_do * step + -(-to_do // steps_per_epoch) * epoch_end - left
    if to_do == 0 or abs(misses_by) <= limit / 20:
        return total
    return done + steps_within(left, step, epoch_end, steps_per_epoch, least=0)
