"""Oracles of the layers in eight bits: plain loops, one value at a time. They import nothing of ours."""

import math

import numpy as np

from naive import output_size, pad_image, positions, sides


def naive_quantise(x, step, zero, stride=(1, 1)):
    """Every stride-th pixel of images as whole numbers from 0 to 255."""
    factor = np.float32(1 / np.float64(step))
    pixels = x[:, :: stride[0], :: stride[1]]
    numbers = np.zeros(pixels.shape, np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        for place in np.ndindex(pixels.shape):
            value = pixels[place] * factor
            if math.isinf(value):
                numbers[place] = 255 if value > 0 else 0
            elif not math.isnan(value):
                numbers[place] = min(max(round(float(value)) + zero, 0), 255)  # Python rounds ties to even, too
    return numbers


def naive_int8_conv2d(x, weight, stride, padding, scale, zero, bias):
    """Σ (q - zero) weight · scale + bias, in the order of the roundings that are promised; the border counts 0."""
    o, kh, kw, c = weight.shape
    n, (oh, ow) = len(x), output_size(x.shape[1:3], (kh, kw), stride, padding)
    q, inside = (pad_image(image, padding).astype(np.int64) for image in (x, np.ones_like(x)))
    parts = np.rint(np.broadcast_to(zero, c) * 65536.0).astype(np.int64)  # a zero is a multiple of 2^-16
    y = np.zeros((n, oh, ow, o), np.float32)
    for i, row, col, rows, cols in positions(n, oh, ow, (kh, kw), stride):
        for f in range(o):
            total = int((q[i, rows, cols] * weight[f]).sum())
            lacking = int((inside[i, rows, cols] * parts * weight[f]).sum()) / 65536
            offset = np.float32(float(bias[f]) - lacking * float(scale[f]))
            y[i, row, col, f] = np.float32(np.float32(total) * scale[f]) + offset
    return y


def naive_pool(y, size, stride, padding):
    """The largest value of each window, the border passed over."""
    (n, h, w, c), (top, _, left, _) = y.shape, sides(padding)
    oh, ow = output_size((h, w), size, stride, padding)
    result = np.full((n, oh, ow, c), -np.inf, np.float32)
    for i, row, col, f, r, s in np.ndindex(n, oh, ow, c, *size):
        down, right = row * stride[0] + r - top, col * stride[1] + s - left
        if 0 <= down < h and 0 <= right < w:
            result[i, row, col, f] = max(result[i, row, col, f], y[i, down, right, f])
    return result
