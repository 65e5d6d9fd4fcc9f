"""Weights of binary layers, sent as what the layers compute with: a bit for each weight, and a scale a filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk

from .communicator import Communicator, lengths, spread

Array = npt.NDArray[Any]


def share(communicator: Communicator, weights: Sequence[Array]) -> None:
    """Give all workers weights that binary layers cannot tell from those that the others have updated.

    Called by all workers. A thirty-second of what the real weights take is sent.

    Parameters
    ----------
    communicator
        The workers, each of which has updated its rows of every weight (:func:`binnet.parallel.communicator.spread`).
    weights : sequence of float32 (O, ...), C-contiguous
        Changed in place, but for the worker's own rows; see :func:`binnet_kernels.stand_in`.
    """
    shares = [spread(len(weight), communicator.size) for weight in weights]
    own = [bk.binary_weights(w[parts[communicator.rank]]) for w, parts in zip(weights, shares, strict=True)]
    # One message for all layers: most are small, and each message costs time of its own.
    counts = [lengths([parts[rank] for parts in shares]) for rank in range(communicator.size)]
    widths = [signs.shape[1] for signs, _ in own]
    sizes = [sum(n * width for n, width in zip(each, widths, strict=True)) for each in counts]
    words = communicator.join(np.concatenate([signs.reshape(-1) for signs, _ in own]), sizes)
    scales = communicator.join(np.concatenate([alpha for _, alpha in own]), [sum(each) for each in counts])
    word = scale = 0
    for rank in range(communicator.size):
        for weight, parts, width in zip(weights, shares, widths, strict=True):
            n = lengths([parts[rank]])[0]
            if rank != communicator.rank and n:
                signs = words[word : word + n * width].reshape(n, width)
                bk.stand_in(signs, scales[scale : scale + n], weight[parts[rank]])
            word, scale = word + n * width, scale + n
