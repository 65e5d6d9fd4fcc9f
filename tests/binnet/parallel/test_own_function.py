"""A function of one's own in a batch that is divided."""

import numpy as np
import pytest

from binnet import Function, Tensor
from binnet.context import dividing
from binnet.nn import Parameter
from binnet.parallel.batch import Batch
from binnet.parallel.communicator import Communicator


class Scale(Function):
    """x · s, whose gradient of s is summed over the images of one worker only."""

    @staticmethod
    def forward(ctx, x, s):
        ctx.save(x, s)
        return x * s

    @staticmethod
    def backward(ctx, grad):
        x, s = ctx.saved
        return grad * s, (grad * x).sum(axis=0)


def test_a_learned_input_without_a_sum_over_all_images_is_refused():
    x, s = Tensor(np.ones((4, 3), np.float32)), Parameter(np.ones(3, np.float32))
    with dividing(Batch(Communicator(), 2, 4)) as batch:
        x.of_images = batch is not None
        y = Scale.apply(x, s)
        with pytest.raises(ValueError, match=r"set Scale\.sums_over_images"):
            y.backward(np.ones((4, 3), np.float32))
