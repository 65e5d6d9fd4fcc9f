"""Batches of a split as normalised float32, shuffled and augmented reproducibly, and prepared in the background."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dataset import Split
from ..images.transforms import channel_stats, flip, normalise, pad_and_crop, resize_to
from ..images.windows import corners, cut, resized_to
from .augment import Augment, Draws, Sampling, draw
from .prefetch import prefetch

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]
# share(epoch, number, n): which images of batch ``number``, which has n, are made; ascending numbers from 0 on.
Share = Callable[[int, int, int], NDArray[np.int64]]


@dataclass(frozen=True)
class View:
    """The part of each image that a batch shows, and its size.

    Attributes
    ----------
    image_size : rows and columns of the batches, or one number for both; None for the images' own
    short_side : pixels to which the short side is resized before the window is cut; not with random scales
    whole : whether to resize whole images to ``image_size``; not with ``short_side`` or random changes of place
    """

    image_size: int | tuple[int, int] | None = None
    short_side: int | None = None
    whole: bool = False

    def check(self, augment: Augment) -> None:
        """Raise ValueError unless at most one thing says which part of an image is shown."""
        if self.short_side is not None:
            _check_int("short_side", self.short_side, 1)
            if augment.scale is not None:
                raise ValueError("short_side and random scales cannot be given together")
        if self.whole and (self.short_side is not None or augment.scale or augment.crop):
            raise ValueError("whole images leave nothing to short_side, random scales or random windows")


class Loader:
    """The batches of a split, epoch by epoch.

    Order and augmentation of an epoch depend on ``(seed, epoch)`` alone: neither on the number of workers, nor on the
    batch at which an epoch is resumed, nor (for each image) on the batch size.

    Images larger than ``image_size`` are resized to a short side of 256/224 of it, and the window in the centre is
    cropped: 224 pixels out of 256. Smaller images are enlarged until they cover the window; images in between are
    cropped without resizing; images of exactly this size are unchanged. `Augment` may crop elsewhere and scale at
    random. With ``view.short_side``, every image is resized to that short side instead, so that images of all sizes
    show the same part. With ``view.whole``, the whole image is resized to the window, which can change its proportions.

    Memory: ``workers + 2`` batches, in addition to the consumer's batch and the split itself.

    Parameters
    ----------
    split : images uint8 and labels; read from several threads at once with more than one worker
    batch_size : images per batch, 1 or more; the last batch has the rest, or one image more than this when the rest
        would be a single image
    mean, std : a number, or one for each channel, of images scaled to [0, 1]
    view : which part of each image is shown; by default images keep their own size, which must be the same for all
    sampling : order and random changes; by default all images in their order, unchanged
    workers : number of background threads that prepare batches; with 0 the calling thread does
    share : function ``share(epoch, number, n)`` that returns ascending numbers of images of batch ``number``, which has
        n images: only these are read and made, because other processes make the others; all of them without it

    Attributes
    ----------
    waited : float
        Seconds that the consumer waited for batches in the current or latest epoch.

    Raises
    ------
    ValueError
        When an argument is out of range, or two of them exclude each other.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        mean: ArrayLike,
        std: ArrayLike,
        view: View | None = None,
        sampling: Sampling | None = None,
        workers: int = 1,
        share: Share | None = None,
    ) -> None:
        self._count, self._share = num_batches(len(split), batch_size), share
        self.view, self.sampling = view or View(), sampling or Sampling()
        _check_int("seed", self.sampling.seed, 0)
        _check_int("workers", workers, 0)
        self.split, self.batch_size, self.workers, self.waited = split, int(batch_size), int(workers), 0.0
        self.mean, self.std = channel_stats(mean, std, split.channels)
        self.image_size, augment = _size(split, self.view.image_size), self.sampling.augment
        augment.check(self.image_size)
        self.view.check(augment)
        self._as_is = split.uniform_size == self.image_size and augment.scale is None
        self._as_is &= self.view.short_side in (None, min(self.image_size))
        if not self._as_is and split.channels not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels to be resized, got {split.channels}")

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return self._count

    def epoch(self, epoch: int = 0, skip: int = 0, every: int = 1) -> Generator[Batch, None, None]:
        """Iterate once over the split.

        Parameters
        ----------
        epoch : 0 or more
        skip : number of batches to omit at the beginning; these are not prepared
        every : yield the first remaining batch, and of the others each ``every``-th; these alone are prepared

        Returns
        -------
        generator of (images float32 (n, *image_size, C), labels int64 (n,)), all new arrays
            Closing it ends the threads. With ``share`` there are fewer images, but still the labels of all n.

        Raises
        ------
        ValueError
            At the call, not at the first batch, when an argument is none of these.
        """
        _check_int("epoch", epoch, 0)
        _check_int("skip", skip, 0)
        _check_int("every", every, 1)
        draws = draw(len(self.split), self.sampling, epoch)
        self.waited = 0.0
        return self._timed(prefetch(partial(self._batch, draws, epoch), range(skip, len(self), every), self.workers))

    def _timed(self, made: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        """Yield the batches, and add up the time that the consumer waits for them."""
        with closing(made):
            while True:
                start = perf_counter()
                batch = next(made, None)
                self.waited += perf_counter() - start
                if batch is None:
                    return
                yield batch
                del batch  # while the next is made, this one is the consumer's alone

    def _batch(self, draws: Draws, epoch: int, number: int) -> Batch:
        """Prepare batch number ``number``; must not change the loader, since several threads call it at once."""
        # A single image left over joins this batch, see num_batches.
        end = (number + 1) * self.batch_size
        last = number == len(self) - 1 and len(self.split) - end == 1
        part = draws.part(slice(number * self.batch_size, end + last))
        labels = self.split.labels[part.order]
        if self._share is not None:
            part = draws.part(number * self.batch_size + self._share(epoch, number, len(labels)))
        images, augment = self._images(part), self.sampling.augment
        if part.padding is not None:
            images = pad_and_crop(images, augment.pad, part.padding, augment.mode)
        if part.flipped is not None:
            images = flip(images, part.flipped)
        return normalise(images, self.mean, self.std), labels

    def _images(self, part: Draws) -> NDArray[np.uint8]:
        """The images of a batch, resized and cropped: uint8 (n, *image_size, C)."""
        source, window, index = self.split.images, self.image_size, part.order
        if self._as_is and isinstance(source, np.ndarray):  # one indexing operation, no loop over images
            return source[index]
        out = np.empty((len(index), *window, self.split.channels), np.uint8)
        if self.view.whole:
            for slot, i in enumerate(index.tolist()):
                out[slot] = resize_to(source[i], window)
            return out
        side = self.view.short_side
        short = part.short if side is None else np.full(len(index), side)
        resized = resized_to(self.split.sizes[index], window, short)
        corner = corners(resized, window, part.place)
        for slot, i in enumerate(index.tolist()):
            out[slot] = cut(source[i], resized[slot], corner[slot], window)
        return out


def batches(
    split: Split,
    batch_size: int,
    *,
    mean: ArrayLike,
    std: ArrayLike,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    augment: Augment | None = None,
) -> Iterator[Batch]:
    """Iterate once over a split of images of one size, in the calling thread.

    The parameters are those of `Loader` and `Sampling`.

    Returns
    -------
    iterator of (images float32 (n, H, W, C), labels int64 (n,)), all new arrays

    Raises
    ------
    ValueError
        At the call, not at the first batch, when an argument is not what `Loader` takes.
    """
    sampling = Sampling(shuffle, seed, augment or Augment())
    return Loader(split, batch_size, mean=mean, std=std, sampling=sampling, workers=0).epoch(epoch)


def num_batches(n: int, batch_size: int) -> int:
    """Return the number of batches of ``n`` images; a single image left over joins the batch before it.

    Batch normalisation needs a variance, which a batch of one does not have. Raises ValueError unless n >= 0 and
    batch_size >= 1.
    """
    _check_int("n", n, 0)
    _check_int("batch_size", batch_size, 1)
    whole, rest = divmod(n, batch_size)
    return whole if rest == 0 or (rest == 1 and whole) else whole + 1  # a split of one image is a batch


def _size(split: Split, image_size: int | tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns of a batch's images; ValueError when they are unknown or below 1."""
    if image_size is None:
        if split.uniform_size is None:
            raise ValueError("image_size must be given for images of several sizes")
        return split.uniform_size
    rows, columns = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    _check_int("image_size", rows, 1)
    _check_int("image_size", columns, 1)
    return int(rows), int(columns)


def _check_int(name: str, value: object, least: int) -> None:
    """Raise ValueError unless ``value`` is a whole number of at least ``least``."""
    # bool is a subclass of int.
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
