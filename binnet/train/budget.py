"""Time budget of a training: parse durations, and compute how many steps fit into a number of seconds."""

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
    """The number of steps that fit into a time, with validation and saving after each epoch and after the last step.

    Parameters
    ----------
    left
        Seconds to fill.
    step, epoch_end
        Seconds of a step, and of validation and checkpoints at the end of an epoch.
    steps_per_epoch
        Steps of a full epoch, at least 1.
    least
        Minimum number of epochs, however little time is left.

    Returns
    -------
    int
        The number of steps. The last epoch may be incomplete, but has at least a twentieth of its steps.
    """
    epochs, rest = divmod(left, steps_per_epoch * step + epoch_end)
    more = int((rest - epoch_end) / step)
    # A shorter epoch costs a validation and two checkpoints and hardly trains.
    if more < steps_per_epoch / 20:
        more = 0
    return max(int(epochs) * steps_per_epoch + more, least * steps_per_epoch)


def corrected(
    total: int, done: int, left: float, limit: float, step: float, epoch_end: float, steps_per_epoch: int
) -> int:
    """The total number of steps of a running training, corrected with the times measured in its last epoch.

    Parameters
    ----------
    total, done
        Planned number of steps, and steps already done.
    left, limit
        Remaining seconds of the budget, and the whole budget.
    step, epoch_end, steps_per_epoch
        As for :func:`steps_within`, measured in the epoch that just finished.

    Returns
    -------
    int
        ``total`` while the predicted end is within a twentieth of ``limit``, otherwise the number of steps that fit.
    """
    to_do = total - done
    # Positive when the training would end late. Corrections change the schedule, so small misses are accepted.
    misses_by = to_do * step + -(-to_do // steps_per_epoch) * epoch_end - left
    if to_do == 0 or abs(misses_by) <= limit / 20:
        return total
    return done + steps_within(left, step, epoch_end, steps_per_epoch, least=0)


def in_epochs(steps: int, n: int) -> str:
    """A number of steps in words, as epochs of ``n`` steps: ``"1 epoch"``, ``"2.5 epochs"``."""
    return f"{steps / n:.3g} epoch{'s' * (steps != n)}"
