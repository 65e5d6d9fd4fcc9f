"""Learning-rate schedules as one pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence

SCHEDULES = ("constant", "step", "cosine", "linear")


def learning_rate(
    step: int,
    total_steps: int,
    base_lr: float,
    schedule: str = "constant",
    *,
    warmup_steps: int = 0,
    milestones: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
    final_lr: float = 0.0,
) -> float:
    """The learning rate of one update.

    Parameters
    ----------
    step
        Updates made so far, from 0. Beyond ``total_steps`` the last value stays.
    total_steps
        Length of the training in updates, warm-up included.
    base_lr
        The highest learning rate.
    schedule
        ``"constant"``; ``"step"``: times ``factor`` at each milestone; ``"cosine"`` and ``"linear"``: from ``base_lr``
        after the warm-up to ``final_lr`` at ``total_steps``.
    warmup_steps
        The first updates use ``base_lr × (step + 1) / warmup_steps``.
    milestones
        For ``"step"``: shares of ``total_steps``, in [0, 1].

    Raises
    ------
    ValueError
        For a wrong word or a number out of range.
    """
    _check(step, total_steps, base_lr, schedule, warmup_steps)
    if step < warmup_steps:
        return base_lr * (step + 1) / warmup_steps
    if schedule == "step":
        passed = sum(step >= milestone * total_steps for milestone in milestones)
        return base_lr * factor**passed
    if schedule == "constant":
        return base_lr
    progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
    remaining = 1 - progress if schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return final_lr + (base_lr - final_lr) * remaining


def _check(step: int, total_steps: int, base_lr: float, schedule: str, warmup_steps: int) -> None:
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}; there are: {', '.join(SCHEDULES)}")
    if step < 0 or total_steps < 1:
        raise ValueError(f"step must be at least 0 and total_steps at least 1, got {step} and {total_steps}")
    if not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"warmup_steps must lie in 0…{total_steps}, got {warmup_steps}")
    if not (base_lr >= 0 and math.isfinite(base_lr)):
        raise ValueError(f"base_lr must be a number of at least 0, got {base_lr!r}")
