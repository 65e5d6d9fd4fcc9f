"""Oracles of the fused layers of packed models: plain loops, one value at a time. They import nothing of ours."""

import numpy as np

from naive import output_size, sides


def naive_epilogue(y, steps, residual=None):
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


def naive_bits(truth, padding=0, border=False):
    """Truth values (N, H, W, C) as a map of bits; those of the border all alike, unused bits 0."""
    n, h, w, c = truth.shape
    top, bottom, left, right = sides(padding)
    words = np.zeros((n, top + h + bottom, left + w + right, -(-c // 32)), np.uint32)
    for i, row, col, channel in np.ndindex(*words.shape[:3], c):
        y, x = row - top, col - left
        inside = 0 <= y < h and 0 <= x < w
        if truth[i, y, x, channel] if inside else border:
            words[i, row, col, channel // 32] |= np.uint32(1 << channel % 32)
    return words


def naive_all(truth, kernel_size, stride, padding):
    """Whether all values of each window hold; the border is passed over."""
    (n, h, w, c), (kh, kw), (sh, sw), (top, _, left, _) = truth.shape, kernel_size, stride, sides(padding)
    oh, ow = output_size((h, w), kernel_size, stride, padding)
    result = np.ones((n, oh, ow, c), bool)
    for i, row, col, channel, r, s in np.ndindex(n, oh, ow, c, kh, kw):
        y, x = row * sh + r - top, col * sw + s - left
        if 0 <= y < h and 0 <= x < w and not truth[i, y, x, channel]:
            result[i, row, col, channel] = False
    return result
