"""Files with layers in eight bits that were made to do harm, or do not fit together."""

import numpy as np
import pytest

import binnet
from binnet.modelfile import PACKED, StorageError, container
from binnet.modelfile.info import DataInfo

N = 4 * 4 * 3


def node(name, kind, inputs, settings=None, arrays=()):
    return {
        "name": name,
        "kind": kind,
        "inputs": inputs,
        "settings": settings or {},
        "arrays": {field: f"{name}.{field}" for field in arrays},
    }


IMAGES = {"shape": [4, 4, 3], "any_size": False}
LAYER = {"shape": [2, N], "stride": [1, 1], "padding": [0, 0, 0, 0]}


def save(folder, images=None, quantise=None, layer=None, kind="Int8Conv", **arrays):
    held = {"weight": np.ones((2, N), np.int8), "scale": np.ones(2, np.float32)}
    if kind == "Int8BwnConv":
        held = {"signs": np.zeros(2, np.uint64), "alpha": np.ones(2, np.float32)}
    held = {**held, "zero": np.zeros(1, np.float32), **arrays}
    held = {field: array for field, array in held.items() if array is not None}
    nodes = [
        node("input", "Input", [], {**IMAGES, **(images or {})}),
        node("flat", "Flatten", ["input"]),
        node("q", "QuantiseLinear", ["flat"], {"step": 0.5, "zero": 3, **(quantise or {})}),
        node("layer", kind, ["q"], {**LAYER, **(layer or {})}, held),
    ]
    path = folder / "m.h5"
    parts = {f"layer.{field}": array for field, array in held.items()}
    container.save(path, PACKED, parts, {"graph": nodes, "data": DataInfo().to_dict(), "built": None})
    return path


@pytest.mark.parametrize("kind", ["Int8Conv", "Int8BwnConv"])
def test_a_file_that_is_right(tmp_path, kind):
    model = binnet.load(save(tmp_path, kind=kind))
    assert model.real == "int8"
    assert model(np.zeros((2, 4, 4, 3), np.float32)).shape == (2, 2)


ONES = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"images": {"pixels": 1}}, "input.pixels must be true or false, got 1"),
        ({"images": {"pixels": None}}, "input.pixels must be true or false"),
        ({"quantise": {"step": 0}}, "q.step must be a positive float32"),
        ({"quantise": {"step": -0.5}}, "q.step must be a positive float32"),
        ({"quantise": {"step": 1e-50}}, "q.step must be a positive float32"),
        ({"quantise": {"step": 10**400}}, "q.step must be a positive float32"),
        ({"quantise": {"step": 0.1}}, "q.step must be a positive float32"),
        ({"quantise": {"step": True}}, "q.step must be a positive float32"),
        ({"quantise": {"step": float("nan")}}, "q.step must be a positive float32"),
        ({"quantise": {"step": [0.5]}}, "q.step must be a positive float32"),
        ({"quantise": {"zero": 256}}, "q.zero must be a whole number from 0 to 255"),
        ({"quantise": {"zero": 1.0}}, "q.zero must be a whole number from 0 to 255"),
        ({"quantise": {"other": 1}}, "unknown field other"),
        ({"weight": None}, "layer.weight is missing"),
        ({"weight": np.ones((2, N), np.float32)}, "layer.weight must be int8, got float32"),
        ({"weight": np.ones((2, N), np.float16)}, "layer.weight must be int8, got float16"),
        ({"weight": np.ones((2, N), np.int64)}, "layer.weight must be int8, got int64"),
        ({"weight": np.ones((2, N + 1), np.int8)}, "layer.weight must be int8"),
        ({"weight": np.full((2, N), -128, np.int8)}, "from -127 to 127, got -128"),
        ({"scale": np.int8([1, 1])}, "layer.scale must be float32 or uint64, got int8"),
        ({"scale": np.uint64([1, 1])}, "layer.scale must be float32"),
        ({"scale": np.float32([1, 0])}, "layer.scale must be above 0"),
        ({"scale": np.float32([1, -1])}, "layer.scale must be above 0"),
        ({"scale": np.float32([1, np.nan])}, "layer.scale must be above 0"),
        ({"scale": np.float32([1, np.inf])}, "layer.scale has values that are not finite"),
        ({"scale": np.ones(3, np.float32)}, "layer.scale must be float32"),
        ({"bias": np.float32([1, np.nan])}, "layer.bias has values that are not finite"),
        ({"bias": np.ones(3, np.float32)}, "layer.bias must have 2 values, got 3"),
        ({"bias": np.uint64([1, 1])}, "layer.bias must be float32"),
        ({"zero": None}, "layer.zero is missing"),
        ({"zero": np.float32([2**-17])}, "layer.zero must be multiples"),
        ({"zero": np.float32([np.nan])}, "layer.zero must be multiples"),
        ({"zero": np.float32([256])}, "layer.zero must be multiples"),
        ({"zero": np.zeros(2, np.float32)}, f"layer.zero must have 1 or {N} values, got 2"),
        ({"zero": np.zeros(0, np.float32)}, "layer.zero must be float32"),
        ({"layer": {"groups": 2}}, "unknown field groups"),
        ({"layer": {"stride": [2, 2]}}, "a dense layer has stride"),
        ({"kind": "Int8BwnConv", "signs": np.zeros(3, np.uint64)}, "layer.signs must be uint64"),
        ({"kind": "Int8BwnConv", "signs": np.full(2, 2**63, np.uint64)}, "must end in 0"),
        ({"kind": "Int8BwnConv", "alpha": np.ones(3, np.float32)}, "layer.alpha must be float32"),
        ({"kind": "Conv", "zero": None, "scale": None}, "layer.weight must be float32, got int8"),
    ],
)
def test_files_that_are_refused(tmp_path, how, match):
    with pytest.raises(StorageError, match=match) as caught:
        binnet.load(save(tmp_path, **how))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def write(folder, nodes, arrays):
    path = folder / "m.h5"
    container.save(path, PACKED, arrays, {"graph": nodes, "data": DataInfo().to_dict(), "built": None})
    return path


def test_a_layer_of_real_numbers_is_refused(tmp_path):
    arrays = {"layer.weight": np.ones((2, N), np.int8), "layer.scale": ONES, "layer.zero": np.zeros(1, np.float32)}
    layer = node("layer", "Int8Conv", ["flat"], LAYER, ["weight", "scale", "zero"])
    nodes = [node("input", "Input", [], IMAGES), node("flat", "Flatten", ["input"]), layer]
    with pytest.raises(StorageError, match="layer takes whole numbers in eight bits, which flat does not give"):
        binnet.load(write(tmp_path, nodes, arrays))
    nodes[0] = node("input", "Input", [], {**IMAGES, "pixels": True})
    assert binnet.load(write(tmp_path, nodes, arrays)).takes_pixels


@pytest.mark.parametrize("kind", ["Int8Conv", "Int8BwnConv"])
def test_sums_that_overflow_are_refused(tmp_path, kind):
    n = (1 << 31) // (255 * 127) + 1 if kind == "Int8Conv" else (1 << 31) // 255 + 1
    held = {"weight": np.full((1, n), 127, np.int8), "scale": ONES[:1]}
    if kind == "Int8BwnConv":
        held = {"signs": np.zeros(-(-n // 64), np.uint64)}
    held = {**held, "zero": np.zeros(1, np.float32)}
    settings = {"shape": [1, n], "stride": [1, 1], "padding": [0, 0, 0, 0]}
    nodes = [
        node("input", "Input", [], {"shape": [1, 1, 1], "pixels": True}),
        node("layer", kind, ["input"], settings, held),
    ]
    with pytest.raises(StorageError, match="do not fit into 32 bits"):
        binnet.load(write(tmp_path, nodes, {f"layer.{name}": array for name, array in held.items()}))


def test_float16_beside_eight_bits_is_refused(tmp_path):
    arrays = {
        "layer.weight": np.ones((2, N), np.int8),
        "layer.scale": ONES,
        "layer.zero": np.zeros(1, np.float32),
        "last.weight": np.ones((2, 2), np.float16),
    }
    nodes = [
        node("input", "Input", [], {**IMAGES, "pixels": True}),
        node("flat", "Flatten", ["input"]),
        node("layer", "Int8Conv", ["flat"], LAYER, ["weight", "scale", "zero"]),
        node("last", "Conv", ["layer"], {**LAYER, "shape": [2, 2]}, ["weight"]),
    ]
    with pytest.raises(StorageError, match="weights in float16 beside layers in eight bits"):
        binnet.load(write(tmp_path, nodes, arrays))
