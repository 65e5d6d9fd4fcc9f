"""The images of a batch that a worker loads, and those that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

from ..parallel.workers import Workers
from .config import TrainConfig

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mix:
    """Mixing partners and ratio of one batch (mixup, arXiv:1710.09412).

    Attributes
    ----------
    partner : int64 (n,)
        A permutation of the batch: image i is mixed with image ``partner[i]``.
    share : float
        λ in [0, 1], drawn from Beta(alpha, alpha): ``x ← λ x + (1 − λ) x[partner]``.
    """

    partner: Ints
    share: float

    @classmethod
    def draw(cls, alpha: float, n: int, seed: int, epoch: int, batch: int) -> Mix | None:
        """Draw the mix of a batch of ``n`` images; None for an ``alpha`` of 0.

        It depends on ``(seed, epoch, batch)`` only, as resuming needs.
        """
        if not alpha:
            return None
        # The final 1 separates this stream from the loader's [seed, epoch]: NumPy ignores trailing zeros of a seed.
        rng = np.random.default_rng([seed, epoch, batch, 1])
        return cls(rng.permutation(n), float(rng.beta(alpha, alpha)))

    def images(self, x: Float, partners: Float) -> Float:
        """Mix images with their partners, both float32 (n, H, W, C); the result has the same shape and dtype."""
        return np.float32(self.share) * x + np.float32(1 - self.share) * partners


class Portion:
    """What a worker needs of a batch of ``n`` images.

    A batch runs in ``accumulate`` parts, each of which is divided among the workers. Both are consecutive images.

    Attributes
    ----------
    runs : list of (part, own), slices of the batch
        Each part, and the images of it that this worker runs.
    loads : int64 (k,)
        Ascending numbers of the images that it loads: those that it runs, and with mixup their partners.
    """

    def __init__(self, workers: Workers, n: int, accumulate: int = 1, mix: Mix | None = None) -> None:
        self.mix, self.runs = mix, []
        for part in _parts(n, accumulate):
            own = workers.own(part.stop - part.start)
            self.runs.append((part, slice(part.start + own.start, part.start + own.stop)))
        run = np.concatenate([np.arange(own.start, own.stop) for _, own in self.runs])
        self.loads = np.unique(run if mix is None else np.concatenate((run, mix.partner[run])))

    @classmethod
    def of(cls, config: TrainConfig, workers: Workers, epoch: int, number: int, n: int) -> Portion:
        """The portion of batch ``number`` of an epoch, which has ``n`` images."""
        return cls(workers, n, config.accumulate, Mix.draw(config.mixup, n, config.seed, epoch, number))

    def images(self, loaded: Float, own: slice) -> Float:
        """The images ``own`` of the batch, float32 (own, H, W, C), mixed where there is a mix.

        ``loaded`` are the images ``loads``, float32 (k, H, W, C).
        """
        # Loaded images without partners between them lie in order, so a slice finds them without a copy.
        first = int(np.searchsorted(self.loads, own.start))
        x = loaded[first : first + own.stop - own.start] if self.mix is None else loaded[self._places(own)]
        return x if self.mix is None else self.mix.images(x, loaded[self._places(self.mix.partner[own])])

    def _places(self, images: slice | Ints) -> Ints:
        numbers = np.arange(images.start, images.stop) if isinstance(images, slice) else images
        places: Ints = np.searchsorted(self.loads, numbers)
        return places


def _parts(n: int, count: int) -> list[slice]:
    """``n`` images in ``count`` parts of nearly equal size; fewer parts where one would have less than two images."""
    # Batch normalisation needs two images for a variance.
    count = max(1, min(count, n // 2))
    ends = [n * i // count for i in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]
