"""Whole networks once more in NumPy, written from the papers: signs as ±1.0 in float64, α as in Eq. 6."""

import numpy as np
import pytest

from binnet import Tensor, models


class Arithmetic:
    """The layers in float64, on the arrays of a network's state."""

    def __init__(self, net):
        self.state = {name: array.astype(np.float64) for name, array in net.state_dict().items()}
        self.binary = net.spec.binarize == "xnor"

    def conv(self, x, name, stride=1, padding=0, real=False):
        weight = self.state[f"{name}.weight"]
        if weight.ndim == 2:  # a dense layer over the whole map
            weight = weight.reshape(len(weight), *x.shape[1:])
        if self.binary and not real:
            alpha = np.abs(weight).mean(axis=(1, 2, 3), keepdims=True)
            x, weight = np.where(x >= 0, 1.0, -1.0), alpha * np.where(weight >= 0, 1.0, -1.0)
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        seen = np.lib.stride_tricks.sliding_window_view(x, weight.shape[1:3], axis=(1, 2))[:, ::stride, ::stride]
        y = np.tensordot(seen, weight, axes=([4, 5, 3], [1, 2, 3]))
        return y + self.state.get(f"{name}.bias", 0.0)

    def norm(self, x, name, eps=1e-5):
        mean, var = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        return (x - mean) / np.sqrt(var + eps) * self.state[f"{name}.gamma"] + self.state[f"{name}.beta"]

    def first(self, x, stride, padding):
        return relu(self.norm(self.conv(x, "conv1", stride, padding, real=True), "conv1_norm"))

    def block(self, x, name, stride=1, padding=0, rectify=True):
        """norm–sign–conv–[ReLU], or conv–norm–ReLU."""
        if self.binary:
            y = self.conv(self.norm(x, f"{name}_norm", 1e-4), name, stride, padding)
            return relu(y) if rectify else y
        return relu(self.norm(self.conv(x, name, stride, padding), f"{name}_norm"))

    def residual(self, x, name, stride):
        y = self.block(x, f"{name}.body.conv1", stride, 1)
        if self.binary:
            y = self.block(y, f"{name}.body.conv2", 1, 1, rectify=False)
        else:
            y = self.norm(self.conv(y, f"{name}.body.conv2", 1, 1), f"{name}.body.conv2_norm")
        if f"{name}.shortcut.conv.weight" in self.state:
            x = self.norm(self.conv(x, f"{name}.shortcut.conv", stride, real=True), f"{name}.shortcut.norm")
        return x + y if self.binary else relu(x + y)


def relu(x):
    return np.maximum(x, 0)


def pool(x, reduce, size, stride, padding=0, border=0.0):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=border)
    seen = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return reduce(seen, axis=(4, 5))


def resnet18(a, x):
    y = pool(a.first(x, 2, 3), np.max, 3, 2, 1, -np.inf)
    for stage in (1, 2, 3, 4):
        y = a.residual(y, f"stage{stage}_block1", 1 if stage == 1 else 2)
        y = a.residual(y, f"stage{stage}_block2", 1)
    if a.binary:
        y = relu(a.norm(y, "last_norm"))
    return a.conv(y.mean(axis=(1, 2), keepdims=True), "dense", real=True)[:, 0, 0]


def alexnet(a, x):
    y = pool(a.first(x, 1, 2), np.max, 3, 2)
    y = pool(a.block(y, "conv2", 1, 2, rectify=False), np.max, 3, 2)
    for name in ("conv3", "conv4", "conv5"):
        y = a.block(y, name, 1, 1, rectify=False)
    y = pool(y, np.max, 3, 2)
    for name in ("dense6", "dense7"):
        y = a.block(y, name, rectify=False)
    if a.binary:
        y = relu(a.norm(y, "last_norm"))
    return a.conv(y, "dense8", real=True)[:, 0, 0]


def nin(a, x):
    y = a.block(a.block(a.first(x, 1, 2), "conv2"), "conv3")
    y = a.block(pool(y, np.max, 3, 2, 1, -np.inf), "conv4", 1, 2)
    y = a.block(a.block(y, "conv5"), "conv6")
    y = a.block(pool(y, np.mean, 3, 2, 1), "conv7", 1, 1)
    y = a.block(y, "conv8")
    if a.binary:
        y = a.norm(y, "last_norm")
    return a.conv(y, "conv9", real=True).mean(axis=(1, 2))


@pytest.mark.parametrize("mode", ["float", "xnor"])
@pytest.mark.parametrize(
    ("arithmetic", "options"),
    [(resnet18, {"image_size": 33}), (alexnet, {"image_size": 32, "wide": 64}), (nin, {"image_size": 10})],
    ids=["resnet18", "alexnet", "nin"],
)
def test_the_scores_of_a_float_simulation(rng, arithmetic, options, mode):
    net = models.build(arithmetic.__name__, mode, num_classes=6, **options)
    h, w = net.spec.image_size
    x = rng.standard_normal((3, h, w, 3)).astype(np.float32)
    net(Tensor(x))  # moves the running statistics
    for path, array in net._state().items():
        if path.endswith(("gamma", "running_var")):
            array[...] = rng.uniform(0.5, 1.5, array.shape)
        elif path.endswith(("beta", "bias", "running_mean")):
            array[...] = rng.normal(0, 0.3, array.shape)
    scores = net.eval()(x).data
    expected = arithmetic(Arithmetic(net), x.astype(np.float64))
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
