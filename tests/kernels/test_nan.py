"""One NaN in the input: the compiled kernels and their NumPy twins put NaN in the same places, and only there."""

import numpy as np
import pytest

import binnet_kernels as bk

SHAPE, WEIGHT_SHAPE = (2, 6, 6, 5), (3, 3, 3, 5)


def holed(shape, place, seed):
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    values[place] = np.nan
    return values


X, WEIGHT = holed(SHAPE, (0, 2, 3, 1), 0), holed(WEIGHT_SHAPE, (0, 0, 0, 0), 1)
GRAD, LOGITS = holed((2, 6, 6, 3), (0, 1, 1, 1), 2), holed((4, 5), (0, 2), 3)
SOUND = np.ones(WEIGHT_SHAPE, np.float32)

CALLS = {
    "sign": lambda k: k.sign(X),
    "pack_signs": lambda k: k.pack_signs(X),
    "weight_alpha": lambda k: k.weight_alpha(WEIGHT),
    "scale_map": lambda k: k.scale_map(X, 3, 1, 1),
    "conv2d": lambda k: k.conv2d(X, SOUND, 1, 1),
    "conv2d, NaN weight": lambda k: k.conv2d(np.ones(SHAPE), WEIGHT, 1, 1),
    "conv2d_grad_input": lambda k: k.conv2d_grad_input(GRAD, SOUND, SHAPE, 1, 1),
    "conv2d_grad_weight": lambda k: k.conv2d_grad_weight(np.ones(SHAPE), GRAD, WEIGHT_SHAPE, 1, 1),
    "grouped_conv2d": lambda k: k.conv2d(X, SOUND[..., :1].repeat(5, 0), 1, 1, 5),
    "grouped_conv2d, NaN weight": lambda k: k.conv2d(np.ones(SHAPE), WEIGHT[..., :1].repeat(5, 0), 1, 1, 5),
    "grouped_conv2d_grad_input": lambda k: k.conv2d_grad_input(GRAD, SOUND[..., :1], (2, 6, 6, 3), 1, 1, 3),
    "grouped_conv2d_grad_weight": lambda k: k.conv2d_grad_weight(np.ones((2, 6, 6, 3)), GRAD, (3, 3, 3, 1), 1, 1, 3),
    "XnorConv2d": lambda k: k.XnorConv2d(SOUND, 1, 1)(X),
    "XnorConv2d, use_k": lambda k: k.XnorConv2d(SOUND, 1, 1, use_k=True)(X),
    "quantise_input": lambda k: k.quantise_input(X, 3),
    "weight_range": lambda k: k.weight_range(WEIGHT, 3),
    "quantise_weight": lambda k: k.quantise_weight(WEIGHT, 3),
    "level_weight_hat": lambda k: k.level_weight_hat(WEIGHT, np.ones(len(WEIGHT)), 3),
    "pack_planes": lambda k: k.pack_planes(X, 3),
    "KbitConv2d": lambda k: k.KbitConv2d(SOUND, 2, 3, 1, 1)(X),
    "KbitConv2d, use_k": lambda k: k.KbitConv2d(SOUND, 2, 3, 1, 1, use_k=True)(X),
    "BwnConv2d": lambda k: k.BwnConv2d(SOUND, 1, 1)(X),
    "max_pool2d": lambda k: k.max_pool2d(X, 3, 2, 1),
    "avg_pool2d": lambda k: k.avg_pool2d(X, 3, 2, 1),
    "batch_norm": lambda k: k.batch_norm(X, np.ones(5), np.zeros(5))[0],
    "softmax_cross_entropy": lambda k: k.softmax_cross_entropy(LOGITS, np.arange(4))[0],
}
# Only the sign or the level matters there: NaN is not below zero, and counts as the highest level.
WITHOUT_NAN = {"sign", "pack_signs", "XnorConv2d", "quantise_input", "quantise_weight", "pack_planes", "KbitConv2d"}
WITHOUT_NAN |= {"level_weight_hat"}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", CALLS)
def test_nan_spreads_alike(name):
    fast, plain = CALLS[name](bk), CALLS[name](bk.reference)
    np.testing.assert_array_equal(np.isnan(fast), np.isnan(plain))
    np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-5)
    assert np.isnan(fast).any() == (name not in WITHOUT_NAN)
    assert not np.isnan(fast).all()
