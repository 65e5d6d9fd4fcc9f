"""Oracles of operations that have no kernel: plain loops in float64. Nothing of binnet is imported here."""

from __future__ import annotations

import math

import numpy as np


def naive_concatenate(arrays, axis):
    """Element by element: each array starts where the one before it ends."""
    arrays = [np.asarray(a, np.float64) for a in arrays]
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    y, start = np.full(shape, np.nan), 0
    for a in arrays:
        for index in np.ndindex(a.shape):
            place = list(index)
            place[axis] += start
            y[tuple(place)] = a[index]
        start += a.shape[axis]
    return y


def naive_pad(x, top, bottom, left, right, value):
    """Each element moves down by ``top`` and to the right by ``left``."""
    n, h, w, c = np.shape(x)
    y = np.full((n, top + h + bottom, left + w + right, c), value, np.float64)
    for image, row, column, channel in np.ndindex(n, h, w, c):
        y[image, top + row, left + column, channel] = x[image, row, column, channel]
    return y


def naive_prelu(x, slope):
    """x, or the channel's slope times x for what is below zero; NaN times a slope is NaN."""
    y = np.array(x, np.float64)
    for index in np.ndindex(y.shape):
        if not y[index] >= 0:
            y[index] *= slope[index[-1] % len(slope)]
    return y


def naive_softmax(x):
    """exp(x_i) over the sum of all exp(x_j) of a row; scores are small enough."""
    y = np.array(x, np.float64)
    for row in np.ndindex(y.shape[:-1]):
        powers = [math.exp(value) for value in y[row]]
        y[row] = [power / math.fsum(powers) for power in powers]
    return y


def naive_matmul(x, y):
    """Each element is the sum of a row times a column."""
    product = np.zeros((len(x), np.shape(y)[1]))
    for i, j in np.ndindex(product.shape):
        product[i, j] = math.fsum(float(x[i][k]) * float(y[k][j]) for k in range(len(y)))
    return product


def naive_distillation(logits, scores, temperature):
    """T² KL(softmax(scores / T) ‖ softmax(logits / T)) of each row; a class without probability in the first adds 0."""
    rows = []
    for z, s in zip(np.asarray(logits, np.float64), np.asarray(scores, np.float64), strict=True):
        e, f = ([math.exp((v - max(row)) / temperature) for v in row] for row in (z, s))
        q, p = [v / math.fsum(e) for v in e], [v / math.fsum(f) for v in f]
        rows.append(temperature**2 * math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))
    return rows
