"""What chance can do to an accuracy: two sources, the validation images and the seeds."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

# Quantiles of Student's t that leave as much outside as two standard deviations of a normal distribution, 4.55 %, for 1
# to 10 degrees of freedom (GUM, JCGM 100:2008, table G.2). More than 10 count as 10, which is at most 14 % too wide.
_STUDENT = (13.97, 4.53, 3.31, 2.87, 2.65, 2.52, 2.43, 2.37, 2.32, 2.28)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of trainings that differ in their seeds only.

    Attributes
    ----------
    values : tuple of float
        Per cent, one for each training.
    n : int
        Number of validation images, the same for all trainings.
    """

    values: tuple[float, ...]
    n: int

    @property
    def mean(self) -> float:
        """Mean over the seeds, per cent."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds, points; None for a single training."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        return f"{self.mean:.1f}" + ("" if self.deviation is None else f" ± {self.deviation:.1f}")


def noise(p: float, n: int) -> float:
    """Two standard deviations, in points, of the difference of two accuracies near p in [0, 1] on ``n`` images each."""
    # The variance of one accuracy is p (1 − p) / n; independent variances add, hence the 2.
    return 200 * math.sqrt(2 * p * (1 - p) / n)


def limit(one: Accuracy, other: Accuracy) -> float:
    """Largest difference of two means, in points, that chance alone is expected to cause (95 % of all cases).

    There are two independent sources of chance, so their variances add.

    The validation images are a sample. That part is :func:`noise` however many seeds there are: all runs are scored on
    the same images, so a mean over seeds keeps it whole, and the limit is never smaller.

    Another seed gives another network. With several seeds that part is the standard error of the difference of the
    means, from the spread of each row as in Welch's test, times the quantile of Student's t. Where only one of the rows
    has several seeds, the other is taken to have the same spread. Where neither has, nothing is known about this part,
    and it is left out.

    The sum is rather too wide than too narrow: two networks often err on the same images, which the first part leaves
    out of account, and a part of the spread over seeds is in both.
    """
    images = noise((one.mean + other.mean) / 200, min(one.n, other.n))  # the mean of both, from per cent to a share
    return math.hypot(images, _of_seeds(one, other))


def _of_seeds(one: Accuracy, other: Accuracy) -> float:
    counts = len(one.values), len(other.values)
    known = [(a.deviation**2, len(a.values)) for a in (one, other) if a.deviation is not None]
    if not any(variance for variance, _ in known):
        return 0.0
    if len(known) == 1:
        [(variance, n)] = known
        return _student(n - 1) * math.sqrt(variance * sum(1 / count for count in counts))
    parts = [variance / n for variance, n in known]
    freedom = sum(parts) ** 2 / sum(part**2 / (n - 1) for part, (_, n) in zip(parts, known, strict=True))
    return _student(freedom) * math.sqrt(sum(parts))


def _student(freedom: float) -> float:
    """The quantile for these degrees of freedom, at least 1, rounded down."""
    return _STUDENT[min(int(freedom), len(_STUDENT)) - 1]
