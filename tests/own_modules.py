"""Custom modules for tests, and whether they are packed with the same bits."""

import numpy as np

import binnet
from binnet import Tensor, nn, no_grad


def own(forward, **layers):
    """A module with these layers and this forward."""

    class Net(nn.Module):
        def forward(self, x):
            return forward(self, x)

    net = Net()
    for name, layer in layers.items():
        setattr(net, name, layer)
    return net


def logits(net, x):
    with no_grad():
        return net.eval()(Tensor(x)).numpy()


def same(net, shape, n=3):
    x = np.random.default_rng(5).standard_normal((n, *shape), np.float32)
    model = binnet.pack(net, input_shape=shape)
    np.testing.assert_array_equal(model(x), logits(net, x))
    return model
