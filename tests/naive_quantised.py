"""Oracles of gradients of few levels: plain loops over single values. They import nothing of ours."""

import math

import numpy as np

_MASK = (1 << 32) - 1


def naive_uniform(seed, i):
    """Number i of a seed, in [0, 1)."""
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    x = (i & _MASK) ^ (z & _MASK)
    x = ((x ^ (x >> 16)) * 0x7FEB352D + (z >> 32)) & _MASK
    x = (x ^ (x >> 15)) * 0x846CA68B & _MASK
    return (x ^ (x >> 16)) // 256 / 2**24


def naive_levels(x, peak, u, how, bits):
    """Whole numbers for float32 values ``x`` (and ``u`` as large); what a 1 stands for is ``peak / top``."""
    top = 1 if how == "paper" else 2**bits - 1
    small, half = peak < np.float32(2.0**-100), np.float32(0.5)
    levels = np.zeros(x.shape, np.int64)
    for place, value in np.ndenumerate(x):
        if how == "paper":
            levels[place] = -1 if value < 0 else 1
        elif how == "ternary":
            factor = np.float32(0) if small else np.float32(top) / peak
            level = min(int(np.floor(abs(value) * factor + u[place])), top)
            levels[place] = -level if value < 0 else level
        else:
            factor = np.float32(0) if small else np.float32(top / 2) / peak
            step = int(np.floor(value * factor + (u[place] - half))) + (top + 1) // 2
            levels[place] = 2 * min(max(step, 0), top) - top
    unit = np.float32(0) if small else peak / np.float32(top)
    return levels, np.float32(unit)


def naive_quantised(grad, alpha, y, how, bits, seed):
    """Levels and units of both roundings: rows (N, OH, OW, O), (N,), columns (N, OH, OW, O), (O,)."""
    grad = np.array(grad if y is None else np.where(np.asarray(y) > 0, grad, 0), np.float32)
    u = np.reshape([naive_uniform(seed, i) for i in range(grad.size)], grad.shape).astype(np.float32)
    rows, columns = np.zeros(grad.shape, np.int64), np.zeros(grad.shape, np.int64)
    row_unit, column_unit = np.zeros(len(grad), np.float32), np.zeros(grad.shape[3], np.float32)
    for n in range(len(grad)):
        scaled = grad[n] * alpha
        rows[n], row_unit[n] = naive_levels(scaled, np.abs(scaled).max(initial=0), u[n], how, bits)
    for o in range(grad.shape[3]):
        peak = np.abs(grad[..., o]).max(initial=0)
        columns[..., o], column_unit[o] = naive_levels(grad[..., o], peak, u[..., o], how, bits)
    return rows, row_unit, columns, column_unit


def naive_compress(grad, error, bits):
    """Whole numbers (O, n), units (O,) and what is left (O, n), one weight at a time in float32."""
    top, half = 2 ** (bits - 1) - 1, np.float32(0.5)
    levels, units, left = np.zeros(grad.shape, np.int64), np.zeros(len(grad), np.float32), np.zeros_like(grad)
    for o, n in np.ndindex(grad.shape):
        left[o, n] = grad[o, n] + error[o, n]
    for o in range(len(grad)):
        peak = max(abs(value) for value in left[o]) * np.float32(top / (top + 1))
        if peak >= np.float32(2.0**-100):
            units[o], factor = peak / np.float32(top), np.float32(top) / peak
            for n in range(grad.shape[1]):
                level = min(math.floor(abs(left[o, n]) * factor + half), top)
                levels[o, n] = -level if left[o, n] < 0 else level
                left[o, n] -= np.float32(levels[o, n]) * units[o]
    return levels, units, left
