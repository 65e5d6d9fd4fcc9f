"""Oracles of levels of k bits (arXiv:1603.05279, end of section 3.2): fractions, loops. They import nothing of ours."""

import math
from fractions import Fraction

import numpy as np

from naive import (
    naive_conv2d,
    naive_grad_alpha,
    naive_pack_signs,
    naive_scale_map,
    naive_signs,
    naive_weight_alpha,
    naive_weight_gradient,
    pad_image,
)

RANGES = {1: 1.0, 2: 1.8719, 3: 2.5706, 4: 3.1508, 5: 3.6549, 6: 4.1083, 7: 4.5258, 8: 4.9158}


def naive_level(value, bits):
    """(2^k - 1) q_k(x), a whole odd number; the product with x is rounded to float32, and NaN counts as +1."""
    most = 2**bits - 1
    within = np.float32(1) if math.isnan(value) else np.float32(min(max(float(value), -1.0), 1.0))
    product = Fraction(float(within * np.float32(most)))
    rounded = math.floor((product + most) / 2 + Fraction(1, 2))  # [(2^k - 1) (x + 1) / 2], halves up
    return 2 * rounded - most


def naive_levels(x, bits):
    """All of an array, as whole numbers."""
    return np.array([naive_level(v, bits) for v in np.ravel(x)], np.int64).reshape(np.shape(x))


def naive_quantise(x, bits):
    """q_k, rounded to float32."""
    return (naive_levels(x, bits) / (2**bits - 1)).astype(np.float32)


def naive_weight_range(weight, bits):
    """The mean of |W| (Eq. 6), times a constant."""
    return naive_weight_alpha(weight).astype(np.float32) * np.float32(RANGES[bits])


def naive_weight_levels(weight, bits, ranges=None):
    """(2^k - 1) q_k(W / alpha), with 1 / alpha and the product rounded to float32; of one bit the sign.

    ``ranges``: alpha, when it is another one.
    """
    weight = np.asarray(weight, np.float32)
    stretched = weight.copy()
    for o, alpha in enumerate(naive_weight_range(weight, bits) if ranges is None else ranges):
        if bits > 1:
            stretched[o] = weight[o] * (np.float32(1) / alpha if alpha > 0 else np.float32(0))
    return naive_levels(stretched, bits)


def naive_quantise_weight(weight, bits, ranges=None):
    """q_k(W / alpha), rounded to float32."""
    return (naive_weight_levels(weight, bits, ranges) / (2**bits - 1)).astype(np.float32)


def naive_weight_planes(weight, bits):
    """Those of the levels, tap by tap."""
    return naive_pack_planes(naive_weight_levels(weight, bits) / (2**bits - 1), bits)


def naive_level_hat(weight, alpha, bits):
    """alpha q_k(W / r), one product of float32 numbers."""
    levels, hat = naive_quantise_weight(weight, bits), np.zeros(weight.shape, np.float32)
    for i in np.ndindex(weight.shape):
        hat[i] = levels[i] * alpha[i[0]]
    return hat


def naive_level_grad_alpha(grad_hat, weight, bits):
    """Σ g q of each filter, and the size of the terms: a list of one pair."""
    levels = naive_quantise_weight(weight, bits)
    return [(naive_grad_alpha(grad_hat, weight, levels), naive_grad_alpha(np.abs(grad_hat), weight, np.abs(levels)))]


def naive_level_gradient(grad_hat, weight, alpha, rule="exact", mean_alpha=True, bits=1):
    """As :func:`naive_weight_gradient`, with the levels of W / alpha."""
    levels = naive_quantise_weight(weight, bits, alpha)
    return naive_weight_gradient(grad_hat, weight, alpha, rule, mean_alpha, levels, RANGES[bits])


def naive_pack_planes(x, bits):
    """Plane i: the signs b_i for which the level is the sum of 2^i b_i, found by trying."""
    levels = naive_levels(x, bits)
    planes = []
    for i in reversed(range(bits)):
        signs = np.where(levels > 0, 1, -1)  # what is left is at most the sum of all lower powers
        levels = levels - 2**i * signs
        planes.insert(0, signs)
    assert (levels == 0).all()
    return np.stack([naive_pack_signs(plane) for plane in planes])


def naive_plane_maps(x, bits, padding=0, pad_value=0):
    """Planes of a map with its border, 32 bits to a half word, and of |x| <= 1; a border of 0 is written as +1."""
    words = naive_pack_planes(pad_image(x, padding, -1 if pad_value == -1 else 1), bits)
    halves = words.view("<u4")[..., : math.ceil(np.shape(x)[3] / 32)].astype(np.uint32)
    return np.ascontiguousarray(halves), naive_signs(x)[1]


def naive_norm_plane_maps(x, gamma, beta, mean, var, eps=1e-5, **options):
    """Those of x normalised with three roundings to float32."""
    factor = gamma / np.sqrt(var + np.float32(eps))
    return naive_plane_maps((x - mean) * factor + beta, **options)


def naive_kbit_conv2d(
    x, weight, weight_bits, act_bits, stride=1, padding=0, pad_value=0, alpha=True, use_k=False, bias=0.0
):
    """Levels with levels, as whole numbers; then all scales."""
    steps = (2**act_bits - 1, 2**weight_bits - 1)
    levels = naive_levels(x, act_bits), naive_weight_levels(weight, weight_bits)
    sums = naive_conv2d(*levels, stride, padding, pad_value * steps[0])
    if alpha is True:
        alpha = naive_weight_range(weight, weight_bits)
    elif alpha is False:
        alpha = 1
    y = sums * (np.asarray(alpha, np.float64) / (steps[0] * steps[1]))
    return y * (naive_scale_map(x, np.shape(weight)[1:3], stride, padding) if use_k else 1) + bias


def naive_kbit_linear(x, weight, weight_bits, act_bits, alpha=True, use_k=False):
    """The same of single pixels."""
    x, weight = np.asarray(x), np.asarray(weight)
    y = naive_kbit_conv2d(x[:, None, None], weight[:, None, None], weight_bits, act_bits, alpha=alpha, use_k=use_k)
    return y[:, 0, 0]
