"""Partial sums of gradients in few bits."""

import numpy as np
import pytest

import binnet_kernels as bk
from binnet.parallel.codes import FLOATS, Rounded
from binnet.train.config import ConfigError, TrainConfig


@pytest.mark.parametrize("shape", [(4, 3, 3, 5), (3, 70), (0, 7)])
@pytest.mark.parametrize("code", [FLOATS, Rounded(2)])
def test_what_is_sent_has_the_layout_that_is_received(code, shape):
    grad = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    parts = code.encode((0, 1), grad)
    assert [(part.shape, part.dtype) for part in parts] == [
        ((shape[0], *tail), np.dtype(dtype)) for tail, dtype in code.layout(shape[1:])
    ]
    assert code.decode(parts, shape[1:]).shape == shape


def test_every_node_keeps_what_rounding_left_over():
    code, rng = Rounded(2), np.random.default_rng(2)
    errors = {node: np.zeros((3, 40), np.float32) for node in ((0, 1), (1, 2))}
    for _ in range(3):
        for node, error in errors.items():
            grad = rng.normal(size=error.shape).astype(np.float32)
            expected = bk.compress_gradient(grad, error, 2)
            for got, want in zip(code.encode(node, grad), expected, strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("bits", [1, 3, 9])
def test_compress_has_two_values(bits):
    with pytest.raises(ConfigError, match=f"--compress must be 0 or 2, got {bits}"):
        TrainConfig(compress=bits)
