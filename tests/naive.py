"""Oracles: every kernel once more as loops that are obviously right, in float64 and Python integers.

Nothing of binnet is imported here. Images are (N, H, W, C), filters (O, KH, KW, C), as everywhere. Each function takes
the arguments of the kernel it stands for. They are slow; keep the arrays small. ``scipy_conv2d`` is a second,
independent oracle of the convolution. Equation numbers: arXiv:1603.05279.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from scipy import signal


def pair(value):
    """(vertical, horizontal) of an int or a pair."""
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def sides(padding):
    """(top, bottom, left, right) of an int, a pair (vertical, horizontal), or these four."""
    if np.size(padding) == 4:
        return tuple(padding)
    (ph, pw) = pair(padding)
    return ph, ph, pw, pw


def output_size(size, kernel_size, stride, padding):
    """Rows and columns of a sliding window's result, counted by sliding it."""
    top, bottom, left, right = sides(padding)
    return tuple(
        len(range(0, s + border - k + 1, step))
        for s, k, step, border in zip(size, pair(kernel_size), pair(stride), (top + bottom, left + right), strict=True)
    )


def pad_image(x, padding, value=0):
    """The image with a border of ``value``, in float64."""
    (top, bottom, left, right), (n, h, w, c) = sides(padding), np.shape(x)
    padded = np.full((n, top + h + bottom, left + w + right, c), value, np.float64)
    padded[:, top : top + h, left : left + w] = x
    return padded


def positions(n, oh, ow, kernel_size, stride):
    """(image, i, j, rows, columns): each output pixel and the slices of the padded image that it sees."""
    (kh, kw), (sh, sw) = pair(kernel_size), pair(stride)
    for b, i, j in product(range(n), range(oh), range(ow)):
        yield b, i, j, slice(i * sh, i * sh + kh), slice(j * sw, j * sw + kw)


# ---------------------------------------------------------------------------------------------- bits


def naive_sign(x):
    """+1 for x >= 0, for both zeros and for NaN; -1 otherwise (Eq. 4)."""
    x = np.asarray(x)
    return np.array([-1.0 if value < 0 else 1.0 for value in x.ravel().tolist()]).reshape(x.shape)


def naive_pack_signs(x):
    """Bit i of word k is 1 where element 64 k + i is negative."""
    x = np.asarray(x)
    n = x.shape[-1]
    words = np.zeros((*x.shape[:-1], math.ceil(n / 64)), np.uint64)
    for row in np.ndindex(x.shape[:-1]):
        for k in range(words.shape[-1]):
            word = 0
            for i, value in enumerate(x[row][64 * k : 64 * k + 64]):
                if value < 0:
                    word |= 1 << i
            words[(*row, k)] = word
    return words


def naive_unpack_signs(words, n):
    """-1 where the bit is 1, +1 where it is 0."""
    words = np.asarray(words)
    signs = np.empty((*words.shape[:-1], n))
    for row in np.ndindex(words.shape[:-1]):
        for i in range(n):
            signs[(*row, i)] = -1 if (int(words[row][i // 64]) >> (i % 64)) & 1 else 1
    return signs


def naive_xnor_gemm(a, b, n):
    """Dot products of sign vectors: the number of equal bits minus the number of different ones."""
    result = np.zeros((len(a), len(b)), np.int64)
    for row, column in np.ndindex(result.shape):
        for i in range(n):
            bit_a, bit_b = ((int(m[i // 64]) >> (i % 64)) & 1 for m in (a[row], b[column]))
            result[row, column] += 1 if bit_a == bit_b else -1
    return result


# ---------------------------------------------------------------------------------------------- scales


def naive_weight_alpha(weight):
    """Mean of |W| of each filter (Eq. 6)."""
    return np.array([math.fsum(abs(float(v)) for v in f.ravel()) / f.size for f in np.asarray(weight)])


def naive_scale_map(x, kernel_size, stride=1, padding=0):
    """K of Eq. 11: mean of |x| over the channels, then over the window, zeros of the border counted."""
    (n, h, w, c), (kh, kw) = np.shape(x), pair(kernel_size)
    padded = pad_image(np.abs(np.asarray(x, np.float64)), padding)
    oh, ow = output_size((h, w), kernel_size, stride, padding)
    K = np.zeros((n, oh, ow, 1))
    for b, i, j, rows, columns in positions(n, oh, ow, kernel_size, stride):
        K[b, i, j, 0] = padded[b, rows, columns].sum() / (c * kh * kw)
    return K


# ---------------------------------------------------------------------------------------------- convolutions


def naive_conv2d(x, weight, stride=1, padding=0, pad_value=0):
    """Each output is the sum of a window times a filter (all filters at once)."""
    (n, h, w, _), (o, kh, kw, _) = np.shape(x), np.shape(weight)
    padded, weight = pad_image(x, padding, pad_value), np.asarray(weight, np.float64)
    oh, ow = output_size((h, w), (kh, kw), stride, padding)
    y = np.zeros((n, oh, ow, o))
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, and meant
        for b, i, j, rows, columns in positions(n, oh, ow, (kh, kw), stride):
            y[b, i, j] = (padded[b, rows, columns] * weight).sum(axis=(1, 2, 3))
    return y


def scipy_conv2d(x, weight, stride=1, padding=0, pad_value=0):
    """The same by ``scipy.signal.correlate``: every position, then those the stride keeps."""
    padded, (sh, sw) = pad_image(x, padding, pad_value), pair(stride)
    maps = [[signal.correlate(image, f, "valid", "direct")[::sh, ::sw, 0] for f in weight] for image in padded]
    oh, ow = output_size(np.shape(x)[1:3], np.shape(weight)[1:3], stride, padding)
    return np.array(maps, np.float64).reshape(len(padded), len(weight), oh, ow).transpose(0, 2, 3, 1)


def naive_conv2d_grad_input(grad, weight, x_shape, stride=1, padding=0):
    """Each output gives its gradient to the pixels of its window, times the filter."""
    (n, h, w, _), (_, kh, kw, _), (ph, pw) = x_shape, np.shape(weight), pair(padding)
    grad_padded, weight = pad_image(np.zeros(x_shape), padding), np.asarray(weight, np.float64)
    for b, i, j, rows, columns in positions(n, *np.shape(grad)[1:3], (kh, kw), stride):
        grad_padded[b, rows, columns] += (np.float64(grad[b, i, j])[:, None, None, None] * weight).sum(axis=0)
    return grad_padded[:, ph : ph + h, pw : pw + w]


def naive_conv2d_grad_weight(x, grad, weight_shape, stride=1, padding=0):
    """Each output gives its gradient to its filter, times the window."""
    _, kh, kw, _ = weight_shape
    padded, grad_weight = pad_image(x, padding), np.zeros(weight_shape)
    for b, i, j, rows, columns in positions(len(padded), *np.shape(grad)[1:3], (kh, kw), stride):
        grad_weight += np.float64(grad[b, i, j])[:, None, None, None] * padded[b, rows, columns]
    return grad_weight


def whole_filters(weight, groups):
    """Filters of one group of channels each as filters of all channels, with zeros for those of the other groups."""
    o, kh, kw, c = np.shape(weight)
    whole = np.zeros((o, kh, kw, groups * c))
    for number in range(o):
        group = number // (o // groups)
        whole[number, :, :, group * c : (group + 1) * c] = weight[number]
    return whole


def naive_grouped_conv2d(x, weight, groups, stride=1, padding=0):
    """The convolution with filters that are zero outside of their group."""
    return naive_conv2d(x, whole_filters(weight, groups), stride, padding)


def naive_grouped_conv2d_grad_input(grad, weight, x_shape, groups, stride=1, padding=0):
    """That of the convolution with the same filters."""
    return naive_conv2d_grad_input(grad, whole_filters(weight, groups), x_shape, stride, padding)


def naive_grouped_conv2d_grad_weight(x, grad, weight_shape, groups, stride=1, padding=0):
    """Of the gradient of filters of all channels, what belongs to each filter's group."""
    o, kh, kw, c = weight_shape
    whole = naive_conv2d_grad_weight(x, grad, (o, kh, kw, groups * c), stride, padding)
    grad_weight = np.zeros(weight_shape)
    for number in range(o):
        group = number // (o // groups)
        grad_weight[number] = whole[number, :, :, group * c : (group + 1) * c]
    return grad_weight


def naive_pack_map(x, padding=0, pad_value=0):
    """sign(x) with its border, 32 signs to a half word; a border of 0 is written as +1."""
    signs = pad_image(naive_sign(x), padding, -1 if pad_value == -1 else 1)
    words = naive_pack_signs(signs)
    return np.ascontiguousarray(words.view("<u4")[..., : math.ceil(np.shape(x)[3] / 32)].astype(np.uint32))


def naive_sign_grad_weight(x, grad, weight_shape, stride=1, padding=0, pad_value=0):
    """The weight gradient of a convolution of sign(x) with a border of ``pad_value``."""
    return naive_conv2d_grad_weight(pad_image(naive_sign(x), padding, pad_value), grad, weight_shape, stride)


def naive_sign_grad_input(grad, weight, alpha, x_shape, stride=1, padding=0):
    """The input gradient of a convolution with alpha sign(W)."""
    weight_hat = naive_sign(weight) * np.asarray(alpha, np.float64)[:, None, None, None]
    return naive_conv2d_grad_input(grad, weight_hat, x_shape, stride, padding)


def naive_alpha(alpha, weight):
    """True: Eq. 6. False: ones. An array: itself."""
    if alpha is True:
        return naive_weight_alpha(weight)
    return np.ones(len(weight)) if alpha is False else np.asarray(alpha, np.float64)


def naive_xnor_conv2d(x, weight, stride=1, padding=0, pad_value=0, alpha=True, use_k=False, bias=0.0):
    """(sign(x) * sign(W)) alpha K (Eq. 11) + bias; the border of sign(x) is ``pad_value``."""
    y = naive_conv2d(naive_sign(x), naive_sign(weight), stride, padding, pad_value) * naive_alpha(alpha, weight)
    with np.errstate(invalid="ignore"):  # 0 * inf is NaN, and meant
        return (y * naive_scale_map(x, np.shape(weight)[1:3], stride, padding) if use_k else y) + bias


def naive_xnor_linear(x, weight, alpha=True, use_k=False):
    """Eq. 10: beta alpha times the dot product of the signs, for each row and filter."""
    y = np.zeros((len(x), len(weight)))
    for row, k in np.ndindex(y.shape):
        y[row, k] = (naive_sign(x[row]) * naive_sign(weight[k])).sum()
    if use_k:
        y *= np.abs(np.asarray(x, np.float64)).mean(axis=1, keepdims=True)
    return y * naive_alpha(alpha, weight)


def naive_bwn_conv2d(x, weight, stride=1, padding=0, alpha=True):
    """x * alpha sign(W) (Eq. 1)."""
    return naive_conv2d(x, naive_sign(weight), stride, padding) * naive_alpha(alpha, weight)


def naive_bwn_linear(x, weight, alpha=True):
    """Rows times alpha sign(W)."""
    return np.asarray(x, np.float64) @ naive_sign(weight).T * naive_alpha(alpha, weight)


# ---------------------------------------------------------------------------------------------- pooling


def _pool_windows(x_shape, kernel_size, stride, padding):
    """(output index, [input pixels of its window inside the image, row by row])."""
    n, h, w, c = x_shape
    stride = kernel_size if stride is None else stride
    (kh, kw), (sh, sw), (top, _, left, _) = pair(kernel_size), pair(stride), sides(padding)
    oh, ow = output_size((h, w), kernel_size, stride, padding)
    for b, i, j, k in product(range(n), range(oh), range(ow), range(c)):
        taps = [(i * sh + r - top, j * sw + s - left) for r in range(kh) for s in range(kw)]
        yield (b, i, j, k), [(b, row, col, k) for row, col in taps if 0 <= row < h and 0 <= col < w]


def _pool_shape(x_shape, kernel_size, stride, padding):
    stride = kernel_size if stride is None else stride
    return (x_shape[0], *output_size(x_shape[1:3], kernel_size, stride, padding), x_shape[3])


def first_maximum(values):
    """Position of the first NaN, or else of the first maximum."""
    best = 0
    for position, value in enumerate(values):
        if math.isnan(value):
            return position
        if value > values[best]:
            best = position
    return best


def naive_max_pool2d(x, kernel_size, stride=None, padding=0):
    """Largest value of each window; the border never wins; NaN wins."""
    y = np.zeros(_pool_shape(np.shape(x), kernel_size, stride, padding))
    for index, pixels in _pool_windows(np.shape(x), kernel_size, stride, padding):
        values = [float(x[p]) for p in pixels]
        y[index] = values[first_maximum(values)]
    return y


def naive_max_pool2d_winners(x, kernel_size, stride=None, padding=0):
    """The maxima, and the number of the tap that has won: row by row, on the border or not."""
    (_, kw), (ph, pw) = pair(kernel_size), pair(padding)
    (sh, sw), y = pair(kernel_size if stride is None else stride), naive_max_pool2d(x, kernel_size, stride, padding)
    winners = np.zeros(y.shape, np.uint16)
    for (b, i, j, k), pixels in _pool_windows(np.shape(x), kernel_size, stride, padding):
        _, row, col, _ = pixels[first_maximum([float(x[p]) for p in pixels])]
        winners[b, i, j, k] = (row + ph - i * sh) * kw + (col + pw - j * sw)
    return y, winners


def naive_max_pool2d_grad_winners(grad, winners, x_shape, kernel_size, stride=None, padding=0):
    """An output's gradient goes to the tap of that number."""
    (_, kw), (ph, pw), grad_x = pair(kernel_size), pair(padding), np.zeros(x_shape)
    sh, sw = pair(kernel_size if stride is None else stride)
    for b, i, j, k in np.ndindex(np.shape(grad)):
        row, col = divmod(int(winners[b, i, j, k]), kw)
        grad_x[b, i * sh + row - ph, j * sw + col - pw, k] += float(grad[b, i, j, k])
    return grad_x


def naive_max_pool2d_grad(grad, x, kernel_size, stride=None, padding=0):
    """All of an output's gradient goes to the first maximum of its window."""
    grad_x = np.zeros(np.shape(x))
    for index, pixels in _pool_windows(np.shape(x), kernel_size, stride, padding):
        grad_x[pixels[first_maximum([float(x[p]) for p in pixels])]] += float(grad[index])
    return grad_x


def naive_avg_pool2d(x, kernel_size, stride=None, padding=0):
    """Sum of each window divided by its full size, border included."""
    (kh, kw), y = pair(kernel_size), np.zeros(_pool_shape(np.shape(x), kernel_size, stride, padding))
    for index, pixels in _pool_windows(np.shape(x), kernel_size, stride, padding):
        y[index] = sum(float(x[p]) for p in pixels) / (kh * kw)
    return y


def naive_avg_pool2d_grad(grad, x_shape, kernel_size, stride=None, padding=0):
    """Each pixel of a window gets 1 / (KH KW) of its output's gradient."""
    (kh, kw), grad_x = pair(kernel_size), np.zeros(x_shape)
    for index, pixels in _pool_windows(x_shape, kernel_size, stride, padding):
        for p in pixels:
            grad_x[p] += float(grad[index]) / (kh * kw)
    return grad_x


# ---------------------------------------------------------------------------------------------- element by element


def naive_relu(x):
    """Zero where x is below it; NaN is not."""
    y = np.zeros(np.shape(x))
    for i in np.ndindex(y.shape):
        y[i] = 0 if x[i] < 0 else x[i]
    return y


def naive_relu_grad(grad, y):
    """The gradient where the result is positive."""
    grad_x = np.zeros(np.shape(y))
    for i in np.ndindex(grad_x.shape):
        grad_x[i] = grad[i] if y[i] > 0 else 0
    return grad_x


def naive_polynomial_grad(grad, x):
    """The gradient times the slope 2 - 2|x| within (-1, 1), rounded to float32 after each step."""
    grad_x = np.zeros(np.shape(x), np.float32)
    for i in np.ndindex(grad_x.shape):
        slope = np.float32(1) - abs(x[i])
        grad_x[i] = np.float32(2 * (0 if slope < 0 else slope)) * grad[i]
    return grad_x


def naive_rprelu(x, before, slope, after):
    """A shift, another slope below 0, a shift; rounded to float32 after each."""
    y = np.zeros(np.shape(x), np.float32)
    for i in np.ndindex(y.shape):
        c = i[-1]
        value = x[i] + before[c]
        y[i] = (slope[c] * value if value < 0 else value) + after[c]
    return y


def naive_rprelu_grad(grad, x, before, slope):
    """Gradients of x and, summed over all elements of a channel, of the first shift, the slope and the other shift."""
    grad_x, sums = np.zeros(np.shape(x), np.float32), np.zeros((3, np.shape(x)[-1]))
    for i in np.ndindex(grad_x.shape):
        c = i[-1]
        value = x[i] + before[c]
        grad_x[i] = slope[c] * grad[i] if value < 0 else grad[i]
        sums[:, c] += grad_x[i], grad[i] * value if value < 0 else 0, grad[i]
    return grad_x, *sums


def naive_channel_sums(x):
    """The sum of all elements of a channel."""
    sums = np.zeros(np.shape(x)[-1])
    for i in np.ndindex(np.shape(x)):
        sums[i[-1]] += x[i]
    return sums


def naive_add(x, y):
    return np.asarray(x, np.float64) + np.asarray(y, np.float64)


# ---------------------------------------------------------------------------------------------- normalisation


def naive_batch_norm_inference(x, gamma, beta, mean, var, eps=1e-5):
    """gamma (x - mean) / sqrt(var + eps) + beta, one channel at a time."""
    x, y = np.asarray(x, np.float64), np.zeros(np.shape(x))
    for k in range(x.shape[-1]):
        y[..., k] = float(gamma[k]) * (x[..., k] - float(mean[k])) / math.sqrt(float(var[k]) + eps) + float(beta[k])
    return y


def naive_batch_norm(x, gamma, beta, eps=1e-5):
    """Normalised x, and the mean and the biased variance of each channel."""
    x = np.asarray(x, np.float64)
    mean = np.array([x[..., k].mean() for k in range(x.shape[-1])])
    var = np.array([((x[..., k] - mean[k]) ** 2).mean() for k in range(x.shape[-1])])
    return naive_batch_norm_inference(x, gamma, beta, mean, var, eps), mean, var


def naive_batch_norm_grad(grad, x, gamma, mean, var, eps=1e-5):
    """Gradients of x, gamma and beta through the batch's own mean and variance (Ioffe & Szegedy 2015, section 3)."""
    grad, x = np.asarray(grad, np.float64), np.asarray(x, np.float64)
    grad_x, grad_gamma, grad_beta = np.zeros(x.shape), np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    rows = max(x[..., 0].size, 1)
    for k in range(x.shape[-1]):
        g, centred, inverse = grad[..., k], x[..., k] - float(mean[k]), 1 / math.sqrt(float(var[k]) + eps)
        grad_gamma[k] = (g * centred * inverse).sum()
        grad_beta[k] = g.sum()
        grad_x_hat = g * float(gamma[k])
        grad_var = (grad_x_hat * centred).sum() * -0.5 * inverse**3
        grad_mean = -(grad_x_hat * inverse).sum()
        grad_x[..., k] = grad_x_hat * inverse + grad_var * 2 * centred / rows + grad_mean / rows
    return grad_x, grad_gamma, grad_beta


def naive_batch_statistics(x):
    """The mean and the biased variance of each channel."""
    x = np.asarray(x, np.float64)
    mean = np.array([x[..., k].mean() for k in range(x.shape[-1])])
    return mean, np.array([((x[..., k] - mean[k]) ** 2).mean() for k in range(x.shape[-1])])


def naive_batch_moments(x):
    """The mean of each channel and the sum of squared distances from it, one row at a time; zeros without rows."""
    rows, c = np.asarray(x, np.float64).reshape(-1, np.shape(x)[-1]), np.shape(x)[-1]
    mean, square = np.zeros(c), np.zeros(c)
    for row in rows:
        mean += row / len(rows)
    for row in rows:
        square += (row - mean) ** 2
    return mean, square


def naive_batch_norm_grad_sums(grad, within, x, mean):
    """Sums of g and g (x - mean) over rows, where g is the gradient whose bit is 1; all of it without bits."""
    total, product_ = np.zeros(len(mean)), np.zeros(len(mean))
    for place in np.ndindex(np.shape(x)):
        row, k = place[:-1], place[-1]
        if within is None or int(within[(*row, k // 32)]) >> k % 32 & 1:
            total[k] += float(grad[place])
            product_[k] += float(grad[place]) * (float(x[place]) - float(mean[k]))
    return total, product_


def naive_batch_norm_grad_apply(grad, within, x, gamma, mean, var, sums, rows, eps=1e-5):
    """One value at a time, from sums over ``rows`` rows."""
    inverse = 1 / np.sqrt(np.asarray(var, np.float64) + eps)
    grad_x, grad_gamma, grad_beta = np.zeros(np.shape(x)), sums[1] * inverse, sums[0]
    for place in np.ndindex(np.shape(x)):
        row, k = place[:-1], place[-1]
        passed = within is None or int(within[(*row, k // 32)]) >> k % 32 & 1
        x_hat = (float(x[place]) - float(mean[k])) * inverse[k]
        share = grad_beta[k] / rows + x_hat * grad_gamma[k] / rows
        grad_x[place] = float(gamma[k]) * inverse[k] * ((float(grad[place]) if passed else 0.0) - share)
    return grad_x, grad_gamma, grad_beta


def naive_norm_signs(x, gamma, beta, mean, var, eps=1e-5, padding=0, pad_value=0):
    """Bits of the signs, with a border, and of |v| <= 1, where v is x normalised with three roundings to float32."""
    (n, h, w, c), (ph, pw) = np.shape(x), pair(padding)
    halves = -(-c // 32)
    bits = np.zeros((n, h + 2 * ph, w + 2 * pw, halves), np.uint32)
    within = np.zeros((n, h, w, halves), np.uint32)
    for b, i, j, k in product(range(n), range(h + 2 * ph), range(w + 2 * pw), range(c)):
        row, col, bit = i - ph, j - pw, np.uint32(1 << k % 32)
        value = np.float32(pad_value)
        if 0 <= row < h and 0 <= col < w:
            factor = np.float32(gamma[k]) / np.sqrt(np.float32(var[k]) + np.float32(eps))
            value = (np.float32(x[b, row, col, k]) - np.float32(mean[k])) * factor + np.float32(beta[k])
            if abs(value) <= 1:
                within[b, row, col, k // 32] |= bit
        if value < 0:
            bits[b, i, j, k // 32] |= bit
    return bits, within


def naive_norm_relu(x, gamma, beta, mean, var, eps=1e-5):
    """The normalised values through a ReLU, and the bits of those above 0: those whose negatives are below it."""
    y = np.zeros(np.shape(x), np.float32)
    factor = np.float32(gamma) / np.sqrt(np.float32(var) + np.float32(eps))
    for i in np.ndindex(y.shape):
        value = (x[i] - mean[i[-1]]) * factor[i[-1]] + beta[i[-1]]
        y[i] = 0 if value < 0 else value
    return y, naive_signs(-y)[0]


def naive_signs(x, padding=0, pad_value=0):
    """The same of x itself: normalised by nothing."""
    ones, zeros = np.ones(np.shape(x)[3]), np.zeros(np.shape(x)[3])
    return naive_norm_signs(x, ones, zeros, zeros, ones, 0.0, padding, pad_value)


def naive_norm_signs_grad(grad, within, x, gamma, mean, var, eps=1e-5):
    """The gradient counts where its bit is 1; the rest is the normalisation's."""
    passed = np.zeros(np.shape(grad))
    for b, i, j, k in np.ndindex(passed.shape):
        if int(within[b, i, j, k // 32]) >> k % 32 & 1:
            passed[b, i, j, k] = grad[b, i, j, k]
    return naive_batch_norm_grad(passed, x, gamma, mean, var, eps)


# ---------------------------------------------------------------------------------------------- loss


def naive_target(labels, classes, label_smoothing=0.0):
    """The distribution that the loss compares with, (N, classes)."""
    target = np.full((len(labels), classes), label_smoothing / classes)
    for row, label in enumerate(labels):
        target[row, label] += 1 - label_smoothing
    return target


def naive_softmax_cross_entropy(logits, labels, label_smoothing=0.0):
    """Loss of each row, and the probabilities."""
    logits = np.asarray(logits, np.float64)
    target = naive_target(labels, logits.shape[1], label_smoothing)
    losses, probabilities = np.zeros(len(logits)), np.zeros(logits.shape)
    for row, values in enumerate(logits):
        log_sum = max(values) + math.log(math.fsum(math.exp(v - max(values)) for v in values))
        for k, value in enumerate(values):
            probabilities[row, k] = math.exp(value - log_sum)
            losses[row] -= target[row, k] * (value - log_sum)
    return losses, probabilities


def naive_softmax_cross_entropy_grad(probabilities, labels, label_smoothing=0.0):
    """Probabilities minus the target."""
    probabilities = np.asarray(probabilities, np.float64)
    return probabilities - naive_target(labels, probabilities.shape[1], label_smoothing)


# ---------------------------------------------------------------------------------------------- training


def naive_weight_hat(weight, alpha):
    hat = np.zeros(weight.shape, np.float32)
    for i in np.ndindex(weight.shape):
        hat[i] = -alpha[i[0]] if weight[i] < 0 else alpha[i[0]]
    return hat


def naive_grad_alpha(grad_hat, weight, levels=None):
    """With ``levels`` in the place of the signs of the weights when they are given."""
    grad = np.zeros(len(weight))
    for i in np.ndindex(weight.shape):
        sign = -1.0 if weight[i] < 0 else 1.0
        grad[i[0]] += float(grad_hat[i]) * (sign if levels is None else float(levels[i]))
    return grad


def naive_weight_gradient(grad_hat, weight, alpha, rule="exact", mean_alpha=True, levels=None, ratio=1.0):
    """The gradient, and the size of the terms that were added: a list of one pair.

    ``levels`` take the place of signs in the sum, for an alpha that is ``ratio`` times the mean of |W|.
    """
    grad, size = np.zeros(weight.shape), np.zeros(weight.shape)
    through_alpha, share = naive_grad_alpha(grad_hat, weight, levels), ratio / weight[:1].size
    for i in np.ndindex(weight.shape):
        g, s = float(grad_hat[i]), -1 if weight[i] < 0 else 1
        straight = g * float(alpha[i[0]]) if abs(weight[i]) <= 1 else 0.0
        of_alpha = {"exact": s * through_alpha[i[0]], "paper": g}.get(rule, 0.0) * share if mean_alpha else 0.0
        terms = (g,) if rule == "plain" else (straight, of_alpha)
        grad[i], size[i] = sum(terms), sum(map(abs, terms))
    return [(grad, size)]


def naive_adam(weight, grad, mean, square, step, lr, decay, clip, betas=(0.9, 0.999), eps=1e-8):
    """New weights and moments, each with the size of the terms that were added."""
    w, g, m, v = (a.astype(np.float64) for a in (weight, grad, mean, square))
    g_size = np.abs(g) + np.abs(w) * decay
    g = g + w * decay
    m_size, v_size = betas[0] * np.abs(m) + (1 - betas[0]) * g_size, betas[1] * v + (1 - betas[1]) * g_size**2
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    root = np.sqrt(v / (1 - betas[1] ** step)) + eps
    rate = lr / (1 - betas[0] ** step)
    # An error of v moves the root by half as much, relatively.
    w_size = np.abs(w) + rate * (m_size + np.abs(m) * v_size / np.maximum(v, 1e-300)) / root
    return [(np.clip(w - rate * m / root, -clip, clip), w_size), (m, m_size), (v, v_size)]


def naive_sgd(weight, grad, velocity, lr, momentum, nesterov, decay, clip):
    """New weights and velocity, each with the size of the terms that were added."""
    w, g, v = (a.astype(np.float64) for a in (weight, grad, velocity))
    g_size = np.abs(g) + np.abs(w) * decay
    g = g + w * decay
    v_size = momentum * np.abs(v) + g_size
    v = momentum * v + g
    step, step_size = (momentum * v + g, momentum * v_size + g_size) if nesterov else (v, v_size)
    return [(np.clip(w - lr * step, -clip, clip), np.abs(w) + lr * step_size), (v, v_size)]
