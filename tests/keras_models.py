"""Keras files and what Keras and Larq compute for them, in plain loops; written from the documentation of both.

A layer is a tuple (class, settings, arrays by name, names of its inputs).
"""

import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Layer = tuple[str, dict[str, Any], dict[str, Any], list[str]]


def layer(kind: str, name: str, arrays: dict[str, Any] | None = None, inputs: Any = (), **settings: Any) -> Layer:
    return kind, {"name": name, "trainable": True, "dtype": "float32", **settings}, arrays or {}, list(inputs)


def sequential(layers: list[Layer], shape: Any = None) -> dict[str, Any]:
    listed: list[Any] = [{"class_name": kind, "config": settings} for kind, settings, _, _ in layers]
    if shape is not None:
        first = {"batch_input_shape": [None, *shape], "dtype": "float32", "name": "images"}
        listed.insert(0, {"class_name": "InputLayer", "config": first})
    return {"class_name": "Sequential", "config": {"name": "net", "layers": listed}}


def functional(layers: list[Layer], shape: Any, version: int = 2) -> dict[str, Any]:
    first = {"batch_input_shape": [None, *shape], "name": "images", "sparse": False, "ragged": False}
    listed: list[Any] = [{"class_name": "InputLayer", "name": "images", "config": first, "inbound_nodes": []}]
    for kind, settings, _, inputs in layers:
        nodes: Any = [[[name, 0, 0, {}] for name in inputs]]
        if version == 3:
            tensors = [
                {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": [name, 0, 0]}}
                for name in inputs
            ]
            nodes = [{"args": [tensors] if len(tensors) > 1 else tensors, "kwargs": {}}]
        listed.append({"class_name": kind, "name": settings["name"], "config": settings, "inbound_nodes": nodes})
    ends = {"input_layers": [["images", 0, 0]], "output_layers": [[layers[-1][1]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "net", "layers": listed, **ends}}


def write(path: Path, layers: list[Layer], structure: Any = None, dtype: str = "<f4") -> Path:
    """A whole model, or with ``structure`` None weights alone."""
    with h5py.File(path, "w") as file:
        group = file
        if structure is not None:
            file.attrs["model_config"] = json.dumps(structure)
            group = file.create_group("model_weights")
            file.create_group("optimizer_weights")
        group.attrs["layer_names"] = [settings["name"].encode() for _, settings, _, _ in layers]
        group.attrs["backend"] = b"tensorflow"
        for _, settings, arrays, _ in layers:
            own = group.create_group(settings["name"])
            names = [f"{settings['name']}/{name}:0" for name in arrays]
            own.attrs["weight_names"] = np.array(names, "S") if names else np.zeros(0)
            for name, array in zip(names, arrays.values(), strict=True):
                own.create_dataset(name, data=np.asarray(array, dtype))
    return path


# ------------------------------------------------------------------------------------------------- what Keras computes


def run(layers: list[Layer], x: Any) -> Any:
    """The result of the last layer for images (N, H, W, C), in float64; a layer without inputs reads the one before."""
    found, last = {"images": np.asarray(x, np.float64)}, "images"
    for kind, settings, arrays, inputs in layers:
        read = [found[name] for name in (inputs or [last])]
        y = RUN[kind](settings, {name: np.asarray(a, np.float64) for name, a in arrays.items()}, *read)
        last = settings["name"]
        found[last] = function(settings.get("activation"), y) if kind != "Activation" else y
    return found[last]


def signs(x: Any) -> Any:
    y = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        y[place] = -1 if x[place] < 0 else 1
    return y


def quantised(quantiser: Any, x: Any) -> Any:
    if quantiser is None:
        return x
    name = quantiser if isinstance(quantiser, str) else quantiser["class_name"]
    if name == "magnitude_aware_sign":
        return signs(x) * np.abs(x).mean(axis=tuple(range(x.ndim - 1)))
    return signs(x)


def function(name: Any, x: Any) -> Any:
    if name in (None, "linear"):
        return x
    known = {
        "relu": lambda v: np.maximum(v, 0),
        "relu6": lambda v: np.minimum(np.maximum(v, 0), 6),
        "hard_tanh": lambda v: np.clip(v, -1, 1),
        "tanh": np.tanh,
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "softmax": lambda v: np.exp(v) / np.exp(v).sum(axis=-1, keepdims=True),
        "ste_sign": signs,
    }
    return known[name](x)


def two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def borders(settings: Any, length: int, size: int, step: int) -> tuple[int, int]:
    if settings.get("padding", "valid") == "valid":
        return 0, 0
    out = math.ceil(length / step)
    missing = max((out - 1) * step + size - length, 0)
    return missing // 2, missing - missing // 2


def windows(settings: Any, x: Any, size: Any, step: Any, value: float) -> Any:
    """Every window: (row, column), values (N, rows, columns, C), and which of them lie inside the map."""
    sides = [borders(settings, n, k, s) for n, k, s in zip(x.shape[1:3], size, step, strict=True)]
    padded = np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=value)
    inside = np.pad(np.ones(x.shape[1:3], bool), sides)
    for i in range((padded.shape[1] - size[0]) // step[0] + 1):
        for j in range((padded.shape[2] - size[1]) // step[1] + 1):
            rows, columns = (slice(a * s, a * s + k) for a, s, k in zip((i, j), step, size, strict=True))
            yield (i, j), padded[:, rows, columns], inside[rows, columns]


def collect(pieces: Any) -> Any:
    """(row, column) and values (N, C) as one map."""
    found = dict(pieces)
    h, w = max(found)
    return np.stack([np.stack([found[i, j] for j in range(w + 1)], 1) for i in range(h + 1)], 1)


def conv(settings: Any, arrays: Any, x: Any) -> Any:
    kernel = quantised(settings.get("kernel_quantizer"), arrays["kernel"])
    x, groups = quantised(settings.get("input_quantizer"), x), settings.get("groups", 1)
    pieces, of_one = [], kernel.shape[3] // groups
    step, border = two(settings.get("strides", 1)), settings.get("pad_values", 0.0)
    for place, values, _ in windows(settings, x, kernel.shape[:2], step, border):
        parts = np.split(values, groups, axis=3)
        sums = [np.tensordot(p, kernel[..., g * of_one : (g + 1) * of_one], 3) for g, p in enumerate(parts)]
        pieces.append((place, np.concatenate(sums, axis=1)))
    return collect(pieces) + arrays.get("bias", 0)


def depthwise(settings: Any, arrays: Any, x: Any) -> Any:
    kernel = quantised(settings.get("depthwise_quantizer"), arrays["depthwise_kernel"])
    x, pieces = quantised(settings.get("input_quantizer"), x), []
    step, border = two(settings.get("strides", 1)), settings.get("pad_values", 0.0)
    for place, values, _ in windows(settings, x, kernel.shape[:2], step, border):
        # Multiplier m of channel c gives channel c * M + m.
        pieces.append((place, np.einsum("nhwc,hwcm->ncm", values, kernel).reshape(len(x), -1)))
    return collect(pieces) + arrays.get("bias", 0)


def separable(settings: Any, arrays: Any, x: Any) -> Any:
    first = depthwise(settings, {"depthwise_kernel": arrays["depthwise_kernel"]}, x)
    kernel = quantised(settings.get("pointwise_quantizer"), arrays["pointwise_kernel"])
    return first @ kernel[0, 0] + arrays.get("bias", 0)


def dense(settings: Any, arrays: Any, x: Any) -> Any:
    kernel = quantised(settings.get("kernel_quantizer"), arrays["kernel"])
    return quantised(settings.get("input_quantizer"), x) @ kernel + arrays.get("bias", 0)


def norm(settings: Any, arrays: Any, x: Any) -> Any:
    factor = arrays.get("gamma", 1) / np.sqrt(arrays["moving_variance"] + settings.get("epsilon", 1e-3))
    return (x - arrays["moving_mean"]) * factor + arrays.get("beta", 0)


def pool(largest: bool) -> Any:
    def pooled(settings: Any, _: Any, x: Any) -> Any:
        size = two(settings["pool_size"])
        step = two(settings["strides"] or settings["pool_size"])
        pieces = []
        for place, values, inside in windows(settings, x, size, step, 0.0):
            seen = values[:, inside]
            pieces.append((place, seen.max(axis=1) if largest else seen.mean(axis=1)))
        return collect(pieces)

    return pooled


def zeros(settings: Any, _: Any, x: Any) -> Any:
    return np.pad(x, ((0, 0), *map(tuple, settings["padding"]), (0, 0)))


RUN: dict[str, Any] = {
    "Conv2D": conv,
    "QuantConv2D": conv,
    "Dense": dense,
    "QuantDense": dense,
    "DepthwiseConv2D": depthwise,
    "QuantDepthwiseConv2D": depthwise,
    "SeparableConv2D": separable,
    "QuantSeparableConv2D": separable,
    "BatchNormalization": norm,
    "MaxPooling2D": pool(True),
    "AveragePooling2D": pool(False),
    "GlobalAveragePooling2D": lambda s, a, x: x.mean(axis=(1, 2)),
    "GlobalMaxPooling2D": lambda s, a, x: x.max(axis=(1, 2), keepdims=s.get("keepdims", False)),
    "Flatten": lambda s, a, x: x.reshape(len(x), -1),
    "Reshape": lambda s, a, x: x.reshape(len(x), *s["target_shape"]),
    "ZeroPadding2D": zeros,
    "Activation": lambda s, a, x: function(s["activation"], x),
    "ReLU": lambda s, a, x: np.minimum(np.maximum(x, 0), s["max_value"] or np.inf),
    "LeakyReLU": lambda s, a, x: np.where(x < 0, s["alpha"] * x, x),
    "PReLU": lambda s, a, x: np.where(x < 0, a["alpha"] * x, x),
    "Softmax": lambda s, a, x: function("softmax", x),
    "Add": lambda s, a, *x: sum(x),
    "Multiply": lambda s, a, *x: math.prod(x),
    "Concatenate": lambda s, a, *x: np.concatenate(x, axis=s["axis"]),
    "TFOpLambda": lambda s, a, x, y: x + y if s["function"].endswith("add") else x * y,
    "Dropout": lambda s, a, x: x,
    "Rescaling": lambda s, a, x: x * s["scale"] + s["offset"],
    "Normalization": lambda s, a, x: (x - a["mean"]) / np.maximum(np.sqrt(a["variance"]), 1e-7),
}
