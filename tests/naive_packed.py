"""Oracles of the fused layers of packed models: plain loops, one value at a time. They import nothing of ours."""

import numpy as np


def naive_finish(y, steps, residual=None):
    """Steps on sums (N, H, W, C), each operation rounded to float32."""
    y = np.array(y, np.float32)
    for place in np.ndindex(y.shape):
        value, c = y[place], place[-1]
        for word, *vectors in steps:
            if word == "norm":
                mean, factor, shift = vectors
                value = np.float32(np.float32(np.float32(value - mean[c]) * factor[c]) + shift[c])
            elif word == "relu":
                value = np.float32(0) if value < 0 else value
            elif word == "prelu":
                value = np.float32(vectors[0][c] * value) if value < 0 else value
            elif word == "sign":
                value = np.float32(-1) if value < 0 else np.float32(1)
            else:
                value = np.float32(value + residual[place])
        y[place] = value
    return y


def naive_between(y, low, high):
    """Which values lie in the interval of their channel."""
    truth = np.zeros(y.shape, bool)
    for place in np.ndindex(y.shape):
        truth[place] = low[place[-1]] <= y[place] <= high[place[-1]]
    return truth


def naive_bits(truth, padding=(0, 0), border=False):
    """Truth values (N, H, W, C) as a map of bits; those of the border all alike, unused bits 0."""
    n, h, w, c = truth.shape
    ph, pw = padding
    words = np.zeros((n, h + 2 * ph, w + 2 * pw, -(-c // 32)), np.uint32)
    for i, row, col, channel in np.ndindex(n, h + 2 * ph, w + 2 * pw, c):
        y, x = row - ph, col - pw
        inside = 0 <= y < h and 0 <= x < w
        if truth[i, y, x, channel] if inside else border:
            words[i, row, col, channel // 32] |= np.uint32(1 << channel % 32)
    return words


def naive_all(truth, kernel_size, stride, padding):
    """Whether all values of each window hold; the border is passed over."""
    (n, h, w, c), (kh, kw), (sh, sw), (ph, pw) = truth.shape, kernel_size, stride, padding
    oh, ow = (h + 2 * ph - kh) // sh + 1, (w + 2 * pw - kw) // sw + 1
    result = np.ones((n, oh, ow, c), bool)
    for i, row, col, channel, r, s in np.ndindex(n, oh, ow, c, kh, kw):
        y, x = row * sh + r - ph, col * sw + s - pw
        if 0 <= y < h and 0 <= x < w and not truth[i, y, x, channel]:
            result[i, row, col, channel] = False
    return result
