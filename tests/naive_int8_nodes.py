"""Oracles of layers in eight bits: plain loops over Python's whole numbers. They import nothing of ours."""

import math
from fractions import Fraction

import numpy as np


def naive_quantise(x, step, zero):
    """Whole numbers 0..255 of real values, each operation rounded to float32; NaN becomes 0."""
    factor = np.float32(1 / np.float64(step))
    q = np.zeros(x.shape, np.float32)
    for place in np.ndindex(x.shape):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = float(np.float32(x[place] * factor))
        if math.isnan(scaled):
            continue
        # Python rounds halves to even, as the kernels do; infinities have no whole number.
        nearest = round(scaled) + zero if math.isfinite(scaled) else scaled
        q[place] = min(max(nearest, 0), 255)
    return q


def naive_int8_conv(q, weight, stride, padding, zero, scale, bias):
    """A convolution (N, H, W, C) of whole numbers by weights (O, KH, KW, C); the border stands for 0.

    ``padding`` is (top, bottom, left, right), ``zero`` (C,), ``scale`` (O,) and ``bias`` (O,). The sum of products and
    the sum of zeros are exact; the rest is rounded as the node says.
    """
    n, h, w, c = q.shape
    o, kh, kw, _ = weight.shape
    top, bottom, left, right = padding
    oh, ow = (h + top + bottom - kh) // stride[0] + 1, (w + left + right - kw) // stride[1] + 1
    y = np.zeros((n, oh, ow, o), np.float32)
    for i, row, col, f in np.ndindex(y.shape):
        products, zeros = 0, Fraction(0)
        for r, s in np.ndindex(kh, kw):
            u, v = row * stride[0] + r - top, col * stride[1] + s - left
            if 0 <= u < h and 0 <= v < w:
                for k in range(c):
                    products += int(q[i, u, v, k]) * int(weight[f, r, s, k])
                    zeros += int(weight[f, r, s, k]) * Fraction(float(zero[k]))
        assert abs(products) < 1 << 31
        offset = np.float32(float(bias[f]) - float(zeros) * float(scale[f]))
        y[i, row, col, f] = np.float32(np.float32(products) * scale[f]) + offset
    return y
