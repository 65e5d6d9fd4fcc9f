"""A filter that slides over a small image, and how many operations a layer of such filters takes."""

from __future__ import annotations

from typing import Any

import numpy as np

import binnet_kernels as bk

LABEL = "A filter of 3 by 3 weights slides over an image of 6 by 6 numbers; and how many operations a layer takes"
CAPTION = (
    "Choose an output pixel with the pointer or the sliders: it is the sum of the nine products of its window "
    "with the filter. Below: the operations of a layer of 14×14 output pixels with 3×3 filters, in real numbers "
    "and as words of 64 signs, each of which takes an XOR, a popcount and an addition (section 1.3). Words are "
    "counted for whole windows; binnet packs each pixel by itself, so few channels take more words (section 3.2)."
)


def values() -> dict[str, Any]:
    """An image (6, 6) and a filter (3, 3) of whole numbers, and their convolution by stride, by the kernel."""
    image = np.random.default_rng(4).integers(-4, 5, (6, 6))
    weight = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    x, w = np.float32(image[None, ..., None]), np.float32(weight[None, ..., None])
    outputs = {stride: bk.conv2d(x, w, stride=stride)[0, ..., 0].astype(int).tolist() for stride in (1, 2)}
    return {"image": image.tolist(), "weight": weight.tolist(), "outputs": outputs}
