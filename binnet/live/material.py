"""What the pages look at: a photograph, digits, networks trained on them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import binnet
import binnet_datasets

Float = npt.NDArray[np.float32]


def photograph(height: int = 224) -> Float:
    """Grace Hopper, photographed by the US Navy (public domain; comes with matplotlib): float32 (H, W, 3) in [0, 1]."""
    from matplotlib import cbook

    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
        image = file.convert("RGB")
    image = image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32) / np.float32(255)


def centred(photo: Float) -> Float:
    """A photograph (H, W, C) as batch normalisation makes it, channels of mean 0 and std 1: float32 (1, H, W, C)."""
    return np.asarray((photo - photo.mean((0, 1))) / photo.std((0, 1)))[None]


def edge_filter(angle: float, size: int = 6) -> npt.NDArray[np.float64]:
    """A filter (S, S, 3) that is light on one side and dark on the other, fading outwards; the angle is in radians."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    across = x * np.cos(angle) + y * np.sin(angle)
    wave = np.exp(-(x**2 + y**2) / 9.7) * np.sin(across * np.pi / 3.5)
    return np.repeat(wave[..., None], 3, axis=2)


def sections(photographs: int, size: int = 64) -> npt.NDArray[np.uint8]:
    """Square sections of the photograph, 64 to 256 of its pixels wide, each reduced to ``size``: uint8 (N, S, S, 3)."""
    photo = Image.fromarray((255 * photograph(448)).astype(np.uint8))
    rng, found = np.random.default_rng(4), []
    for number in range(photographs):
        side = (64, 96, 128, 192, 256)[5 * number // photographs]
        left, top = (int(rng.integers(whole - side + 1)) for whole in photo.size)
        box = (left, top, left + side, top + side)
        found.append(np.asarray(photo.resize((size, size), Image.Resampling.BOX, box)))
    return np.stack(found)


def binary_layers(model: str, pixels: npt.NDArray[np.uint8]) -> list[tuple[Any, Float]]:
    """Each XNOR convolution of a packed model, a node of its graph, with the real input that ``pixels`` give it."""
    packed: Any = binnet.load(model)
    mean, std = (np.array(values, np.float32) for values in (packed.info.mean, packed.info.std))
    values = {packed.graph.input.name: (pixels.astype(np.float32) / np.float32(255) - mean) / std}
    for node in packed.graph:
        if node.inputs:
            values[node.name] = node.compute(*(values[name] for name in node.inputs))
    return [(node, values[node.inputs[0]]) for node in packed.graph if node.kind == "XnorConv"]


def digits() -> tuple[Float, npt.NDArray[np.int64], Float, npt.NDArray[np.int64]]:
    """The built-in digits, normalised: training images (N, 8, 8, 1) and labels (N,), then those of the test."""
    data = binnet_datasets.load("digits")
    mean, std = data.mean_std()
    parts = []
    for split in (data.train, data.test):
        parts += [*next(binnet_datasets.batches(split, len(split), mean=mean, std=std))]
    return tuple(parts)  # type: ignore[return-value]


@cache
def network(binarize: str = "xnor", epochs: int = 8, **options: Any) -> Any:
    """LeNet-5 trained on the built-in digits in a few seconds, in evaluation mode; one network for equal arguments."""
    build: Any = binnet.models.build
    net = build("lenet5", binarize=binarize, num_classes=10, in_channels=1, image_size=8, seed=0, **options)
    _train(net, epochs)
    net.eval()
    return net


def _train(net: Any, epochs: int) -> None:
    x, labels, _, _ = digits()
    optimiser = binnet.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(x))
        for part in np.array_split(order, len(x) // 64):
            loss = binnet.cross_entropy(net(binnet.Tensor(x[part])), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def input_of(net: Any, layer: str, images: Float) -> Float:
    """What reaches a layer of a network (by name) when it sees these images."""
    x = binnet.Tensor(images)
    with binnet.no_grad():
        for name, module in net.children():
            if name == layer:
                return x.data
            x = module(x)
    raise ValueError(f"there is no layer {layer!r}; there are: {', '.join(name for name, _ in net.children())}")
