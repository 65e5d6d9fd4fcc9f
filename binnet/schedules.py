"""Schedules of learning rate and weight decay: pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence

SCHEDULES = ("constant", "step", "cosine", "linear", "polynomial")
_POWER = 4  # of "polynomial": β of the GoogLeNet variant (arXiv:1603.05279, section 4.2)


def learning_rate(
    step: int,
    total_steps: int,
    base_lr: float,
    schedule: str = "constant",
    *,
    warmup_steps: int = 0,
    milestones: Sequence[float] = (0.5, 0.75),
    factors: Sequence[float] = (0.1, 0.01),
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
        ``"constant"``; ``"step"``: ``base_lr`` times the factor of the last milestone passed; ``"cosine"``,
        ``"linear"`` and ``"polynomial"``: from ``base_lr`` after the warm-up to 0 at ``total_steps``, the last one
        with the fourth power of what is left.
    warmup_steps
        The first updates use ``base_lr × (step + 1) / warmup_steps``.
    milestones, factors
        For ``"step"``: rising shares of ``total_steps`` in [0, 1], and a factor of at least 0 for each.

    Raises
    ------
    ValueError
        For a wrong word or a number out of range.
    """
    _check(step, total_steps, base_lr, schedule, warmup_steps)
    check_milestones(milestones, factors)
    if step < warmup_steps:
        return base_lr * (step + 1) / warmup_steps
    if schedule == "step":
        passed = sum(_reached(step, milestone, total_steps) for milestone in milestones)
        return base_lr * (factors[passed - 1] if passed else 1.0)
    if schedule == "constant":
        return base_lr
    progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)  # the warm-up may be all there is
    return base_lr * _remaining(schedule, progress)


def weight_decay(step: int, total_steps: int, base: float, until: float = 1.0) -> float:
    """The weight decay of one update: ``base`` in the first share ``until`` of the training, then 0."""
    return 0.0 if is_past(step, total_steps, until) else base


def is_past(step: int, total_steps: int, share: float) -> bool:
    """Whether an update comes after the first ``share`` of the training, from 0 to 1; none comes after all of it."""
    return share < 1 and _reached(step, share, total_steps)


def _reached(step: int, share: float, total_steps: int) -> bool:
    """Whether ``step`` has reached a share of the training; rounded, since 30/58 · 58 is 30.000000000000004."""
    return step >= share * total_steps * (1 - 1e-12)


def check_milestones(milestones: Sequence[float], factors: Sequence[float]) -> None:
    """Raise ValueError unless milestones are increasing shares and factors as many numbers of at least 0."""
    if len(milestones) != len(factors):
        raise ValueError(f"there must be a factor for each milestone, got {len(milestones)} and {len(factors)}")
    if [*milestones] != sorted(milestones) or not all(0 <= m <= 1 for m in milestones):
        raise ValueError(f"milestones must be rising shares in 0…1, got {_shown(milestones)}")
    if not all(f >= 0 and math.isfinite(f) for f in factors):
        raise ValueError(f"factors must be numbers of at least 0, got {_shown(factors)}")


def _remaining(schedule: str, progress: float) -> float:
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return (1 - progress) ** (_POWER if schedule == "polynomial" else 1)


def _check(step: int, total_steps: int, base_lr: float, schedule: str, warmup_steps: int) -> None:
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}; there are: {', '.join(SCHEDULES)}")
    if step < 0 or total_steps < 1:
        raise ValueError(f"step must be at least 0 and total_steps at least 1, got {step} and {total_steps}")
    if not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"warmup_steps must lie in 0…{total_steps}, got {warmup_steps}")
    if not (base_lr >= 0 and math.isfinite(base_lr)):
        raise ValueError(f"base_lr must be a number of at least 0, got {base_lr!r}")


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{v:g}" for v in values)
