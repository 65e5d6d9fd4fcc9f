"""XNOR-Net (arXiv:1603.05279) in a hundred lines of NumPy: `python xnor_net_in_100_lines.py` trains on 8x8 digits.

Images are (N, H, W, C), filters (O, KH, KW, C). Chapters 2 to 5 of the documentation build this file up.
"""

from pathlib import Path

import h5py  # only to read the digits
import numpy as np


# [chapter 2: binary weights]
def sign(x):
    """Eq. 4: +1 for all that is not negative, also for 0."""
    return np.where(x < 0, -1, 1).astype(np.float32)


def scale(weight):
    """Eq. 6: alpha of each filter, the mean magnitude of its weights."""
    return np.abs(weight.reshape(len(weight), -1)).mean(axis=1)


# [chapter 3: dot products of bits]
def pack(x):
    """Signs of rows (..., n) as bits, 1 for negative, in words of 64: (..., ceil(n / 64)); unused bits are 0."""
    missing = [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % 64)]
    return np.packbits(np.pad(x < 0, missing), axis=-1, bitorder="little").view(np.uint64)


def xnor_dot(a, b, n):
    """Dot products of packed rows of a (..., words) with those of b (O, words): n signs, d of them differ, n - 2d."""
    differ = np.zeros((*a.shape[:-1], len(b)), np.int32)
    for word in range(a.shape[-1]):
        differ += np.bitwise_count(a[..., word, None] ^ b[:, word])
    return n - 2 * differ


# [chapter 4: convolution]
def windows(x, size):
    """What lies under a filter at each place where it fits: (N, H - size + 1, W - size + 1, size * size * C)."""
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return view.transpose(0, 1, 2, 4, 5, 3).reshape(*view.shape[:3], -1)


def xnor_conv(x, weight):
    """Eq. 11 without K: (sign(x) * sign(weight)) alpha, by XOR and popcount."""
    rows, filters = windows(x, weight.shape[1]), weight.reshape(len(weight), -1)
    return xnor_dot(pack(rows), pack(filters), n=filters.shape[1]) * scale(weight)


# [chapter 5: gradients]
def conv_grad(grad, x, weight):
    """Of a convolution of x with weight: the gradients of x and of weight."""
    size, flat = weight.shape[1], grad.reshape(-1, len(weight))
    grad_weight = (flat.T @ windows(x, size).reshape(len(flat), -1)).reshape(weight.shape)
    border = np.pad(grad, ((0, 0), (size - 1, size - 1), (size - 1, size - 1), (0, 0)))
    turned = weight[:, ::-1, ::-1].transpose(3, 1, 2, 0).reshape(weight.shape[3], -1)
    return windows(border, size) @ turned.T, grad_weight


def ste(grad, x):
    """Straight-through: the sign passes the gradient on where |x| <= 1."""
    return grad * (np.abs(x) <= 1)


def weight_grad(grad, weight):
    """From the gradient of alpha sign(W) to that of W: by alpha, which all weights share, and by each sign."""
    g, w = grad.reshape(len(grad), -1), weight.reshape(len(weight), -1)
    shared = sign(w) / w.shape[1] * (g * sign(w)).sum(axis=1, keepdims=True)
    return (shared + scale(weight)[:, None] * ste(g, w)).reshape(weight.shape)


# [chapter 5: layers]
class Conv:
    """A real convolution."""

    def __init__(self, rng, channels, filters, size):
        self.weight = np.float32(rng.normal(0, np.sqrt(2 / channels) / size, (filters, size, size, channels)))
        self.arrays = [self.weight]

    def forward(self, x, train):
        self.x = x
        return windows(x, self.weight.shape[1]) @ self.weight.reshape(len(self.weight), -1).T

    def backward(self, grad):
        grad_x, grad_weight = conv_grad(grad, self.x, self.weight)
        self.grads = [grad_weight]
        return grad_x


class XnorConv(Conv):
    """Binary weights and inputs; keeps the real weights, which only training needs."""

    def forward(self, x, train):
        self.x = x
        return xnor_conv(x, self.weight)

    def backward(self, grad):
        binary = sign(self.weight) * scale(self.weight)[:, None, None, None]
        grad_x, grad_binary = conv_grad(grad, sign(self.x), binary)
        self.grads = [weight_grad(grad_binary, self.weight)]
        return ste(grad_x, self.x)


class BatchNorm:
    """Each channel with mean 0 and variance 1, then times gamma plus beta."""

    def __init__(self, channels):
        self.arrays = [np.ones(channels, np.float32), np.zeros(channels, np.float32)]
        self.mean, self.var = np.zeros(channels, np.float32), np.ones(channels, np.float32)

    def forward(self, x, train):
        mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if train else (self.mean, self.var)
        if train:  # evaluation takes moving averages
            self.mean, self.var = 0.9 * self.mean + 0.1 * mean, 0.9 * self.var + 0.1 * var
        self.deviation = np.sqrt(var + 1e-5)
        self.x_hat = (x - mean) / self.deviation
        return self.x_hat * self.arrays[0] + self.arrays[1]

    def backward(self, grad):
        axes = (0, 1, 2)
        self.grads = [(grad * self.x_hat).sum(axes), grad.sum(axes)]
        g = grad * self.arrays[0]
        return (g - g.mean(axes) - self.x_hat * (g * self.x_hat).mean(axes)) / self.deviation


# [chapter 5: training]
def digits(file):
    """Normalised training images and labels, then those for validation."""
    with h5py.File(file) as f:
        (x, y), (x_val, y_val) = ((f[s]["images"][:] / np.float32(255), f[s]["labels"][:]) for s in ("train", "test"))
    return (x - x.mean()) / x.std(), y, (x_val - x.mean()) / x.std(), y_val


def network(rng):
    """Real first and last layer (the last as large as the map); two binary blocks of normalise, sign, convolve."""
    binary = [BatchNorm(32), XnorConv(rng, 32, 128, 3), BatchNorm(128), XnorConv(rng, 128, 64, 3)]
    return [Conv(rng, 1, 32, 3), *binary, BatchNorm(64), Conv(rng, 64, 10, 2)]


def forward(layers, x, train=False):
    for layer in layers:
        x = layer.forward(x, train)
    return x[:, 0, 0]  # scores of the classes


def train(file, epochs=12, rate=0.5):
    """SGD with a falling rate; returns the accuracy on the validation images, which it prints after each epoch."""
    rng = np.random.default_rng(0)
    layers = network(rng)
    x, y, x_val, y_val = digits(file)
    for epoch in range(epochs):
        for part in np.array_split(rng.permutation(len(x)), len(x) // 32):
            scores = forward(layers, x[part], train=True)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            grad = shares / shares.sum(axis=1, keepdims=True) - np.eye(10)[y[part]]  # of the cross-entropy
            grad = np.float32(grad / len(part))[:, None, None]
            for layer in reversed(layers):
                grad = layer.backward(grad)
                for array, g in zip(layer.arrays, layer.grads, strict=True):
                    array -= rate * (1 - epoch / epochs) * g  # of a binary layer, the real weights
        accuracy = np.mean(forward(layers, x_val).argmax(axis=1) == y_val)
        print(f"epoch {epoch + 1}: {accuracy:.1%} of {len(y_val)} validation images", flush=True)
    return accuracy


if __name__ == "__main__":
    train(Path(__file__).parents[1] / "datasets/binnet_datasets/named/digits.h5")
