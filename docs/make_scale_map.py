"""Why the map K of Eq. 11 can be a worse scale than none: the table of docs/results.md, from a trained XNOR-Network.

    python docs/make_scale_map.py RUN/best.h5 STORE [--images 100]

For each binary convolution it takes the real input z and the real weights W of the network and correlates, filter by
filter over all pixels and images, the real convolution W ∗ z with what replaces it: α sign(W) ∗ sign(z), and K times
that. It does so for the input as it is, and once with the magnitudes of each pixel exchanged at random between its
channels, which changes neither the signs nor K.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np

import binnet_datasets
from binnet import Tensor, nn, ops
from binnet.evaluation.evaluate import open_model

INNER = (slice(None), slice(1, -1), slice(1, -1))  # pixels whose window has no border, for 3x3 with padding 1
HEADS = (
    "layer | filters for which K is better, all pixels | without the border | magnitudes exchanged, without the border "
    "| negative inputs: mean, relative deviation of the magnitude | positive ones"
)


def inputs(network: nn.Module, images: Any) -> dict[str, tuple[nn.BinConv2d, Any]]:
    """Each binary convolution by its path, with its real input for ``images``, float32 (N, H, W, C)."""
    found: dict[str, tuple[nn.BinConv2d, Any]] = {}
    with ExitStack() as stack:
        for path, layer in _convolutions(network):

            def seen(x: Tensor, path: str = path, layer: nn.BinConv2d = layer) -> Tensor:
                found[path] = layer, x.numpy().copy()
                return type(layer).forward(layer, x)

            stack.enter_context(patch.object(layer, "forward", seen))
        network.eval()(Tensor(images))
    return found


def _convolutions(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.BinConv2d]]:
    for name, child in module.children():
        if isinstance(child, nn.BinConv2d):
            yield path + name, child
        yield from _convolutions(child, f"{path}{name}.")


def estimates(layer: nn.BinConv2d, z: Any) -> tuple[Any, Any, Any]:
    """The real convolution, its estimate without K and with K, each (N, OH, OW, O)."""
    weight = layer.weight.numpy()

    def conv(x: Any, w: Any) -> Any:
        return ops.conv2d(Tensor(x), Tensor(w), None, stride=layer.stride, padding=layer.padding).numpy()

    mean = np.full((1, *weight.shape[1:3], 1), 1 / np.prod(weight.shape[1:3]), np.float32)
    without = conv(_signs(z), _signs(weight)) * np.abs(weight).mean(axis=(1, 2, 3))
    return conv(z, weight), without, without * conv(np.abs(z).mean(axis=-1, keepdims=True), mean)


def share_better(real: Any, without: Any, with_k: Any) -> float:
    """The share of filters whose real map correlates more with the estimate that has K."""
    return float(np.mean(_correlations(real, with_k) > _correlations(real, without)))


def exchanged(z: Any, seed: int = 0) -> Any:
    """The same signs, and the magnitudes of each pixel in another order of its channels."""
    return _signs(z) * np.random.default_rng(seed).permuted(np.abs(z), axis=-1)


def row(name: str, layer: nn.BinConv2d, z: Any) -> str:
    """The row of a layer."""
    maps, other = estimates(layer, z), estimates(layer, exchanged(z))
    shares = [share_better(*maps), *(share_better(*(m[INNER] for m in each)) for each in (maps, other))]
    sides = [np.abs(z[side]) for side in (z < 0, z >= 0)]
    spreads = [f"{side.mean():.2f}, {side.std() / side.mean():.2f}" for side in sides]
    return " | ".join([f"`{name}`", *(f"{share:.0%}" for share in shares), *spreads])


def _signs(x: Any) -> Any:
    return np.where(x >= 0, 1, -1).astype(np.float32)


def _correlations(a: Any, b: Any) -> Any:
    """Of each channel of two maps, (C,)."""
    a, b = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (a, b))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compare estimates of binary convolutions with and without K.")
    parser.add_argument("checkpoint")
    parser.add_argument("store")
    parser.add_argument("--images", type=int, default=100)
    arguments = parser.parse_args()
    model = open_model(arguments.checkpoint)
    images = binnet_datasets.load(None, arguments.store).test.images
    numbers = np.linspace(0, len(images) - 1, arguments.images).astype(int)
    pixels = np.stack([np.asarray(images[int(i)]) for i in numbers])
    mean, std = (np.array(values, np.float32) for values in model.info.normalisation())
    print(f"| {HEADS} |\n|---|---:|---:|---:|---|---|")
    assert model.network is not None
    for name, (layer, z) in inputs(model.network, (pixels / np.float32(255) - mean) / std).items():
        print(f"| {row(name, layer, z)} |")


if __name__ == "__main__":
    main()
