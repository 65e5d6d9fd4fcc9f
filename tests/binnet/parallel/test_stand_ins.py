"""Weights of binary layers that are sent as signs and scales."""

import numpy as np
import pytest

import binnet_kernels as bk
from binnet import nn
from binnet.ops import WeightBinariser
from binnet.parallel import stand_ins
from binnet.parallel.communicator import Communicator, spread
from binnet_kernels.checks import Float


class OneAfterAnother(Communicator):
    """A worker of several that run one after another: a first round records what they send, a second has it all."""

    def __init__(self, rank, size, sent):
        self.rank, self.size, self._sent, self._number = rank, size, sent, 0

    def join(self, rows, counts):
        assert len(rows) == counts[self.rank]
        places = self._sent.setdefault(self._number, {})
        places[self.rank], self._number = rows, self._number + 1
        missing = [np.ones((n, *rows.shape[1:]), rows.dtype) for n in counts]
        return np.concatenate([places.get(rank, missing[rank]) for rank in range(self.size)])


@pytest.mark.parametrize("size", [2, 3, 5])
def test_layers_get_the_bits_of_the_real_weights(size):
    rng = np.random.default_rng(size)
    shapes = ((7, 3, 3, 5), (4, 65), (3, 1))  # with five workers some have no filter
    real = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    real[0][2], real[1][0, :3] = 0, (-0.0, 0.0, 1e-45)
    sent: dict[int, dict[int, Float]] = {}
    for complete in (False, True):
        for rank in range(size):
            have = [np.zeros_like(w) for w in real]
            for mine, w in zip(have, real, strict=True):
                own = spread(len(w), size)[rank]
                mine[own] = w[own]
            stand_ins.share(OneAfterAnother(rank, size, sent), have)
            for mine, w in zip(have, real, strict=True) if complete else ():
                own = spread(len(w), size)[rank]
                np.testing.assert_array_equal(mine[own], w[own])
                for got, expected in zip(bk.binary_weights(mine), bk.binary_weights(w), strict=True):
                    np.testing.assert_array_equal(got, expected)


class Doubled(WeightBinariser):
    def scales(self, weight):
        return 2 * super().scales(weight)


@pytest.mark.parametrize(
    ("binariser", "expected"),
    [
        (WeightBinariser(), True),
        (WeightBinariser(scale="learned"), True),
        (WeightBinariser(scale="none"), True),
        (WeightBinariser(center=True), False),
        (Doubled(), False),
    ],
)
def test_only_what_signs_and_means_tell_travels_so(binariser, expected):
    assert nn.BinLinear(3, 2, weight_binariser=binariser, rng=0).weight.by_signs is expected
    assert not nn.Linear(3, 2, rng=0).weight.by_signs
