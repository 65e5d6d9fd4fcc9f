"""Exported ONNX files: the checker of the package, and ONNX Runtime against the engine."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import binnet
from binnet.convert import ConversionError
from binnet.engine import PackedModel
from binnet.graph import (
    Add,
    AvgPool,
    Clip,
    Concatenate,
    Constant,
    Conv,
    Divide,
    Flatten,
    GlobalAverage,
    Graph,
    Input,
    Int8Conv,
    KbitConv,
    MaxPool,
    Multiply,
    Node,
    Quantise,
    QuantiseLinear,
    Reshape,
    Sigmoid,
    Sign,
    Softmax,
    Tanh,
    XnorConv,
    trace,
)
from binnet.modelfile.info import DataInfo
from binnet.models import build
from eight_bits import in_eight_bits, pixels
from random_modules import modules

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(5)


def exported(model: PackedModel, qonnx: bool = False) -> Any:
    from binnet.convert.onnx.writing import to_onnx

    proto = to_onnx(model, qonnx)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def scores(proto: Any, x: Any) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def check(model: PackedModel, x: Any, tolerance: float = 0.0) -> None:
    y, expected = scores(exported(model), x), model(x)
    assert y.shape == expected.shape
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))


def graph_of(*nodes: Node, shape: tuple[int, int, int] = (7, 6, 5), info: DataInfo | None = None) -> PackedModel:
    return PackedModel(Graph((Input("input", (), shape), *nodes)), info or DataInfo())


def floats(*shape: int) -> Any:
    return RNG.normal(0, 1, shape).astype(np.float32)


def words(*shape: int, planes: int = 0) -> Any:
    size = int(np.prod(shape))
    bits = np.zeros((max(planes, 1), -(-size // 64) * 64), np.uint8)
    bits[:, :size] = RNG.integers(0, 2, (len(bits), size))
    packed = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    return packed if planes else packed[0]


SIZES = {"lenet5": 28, "alexnet": 67, "resnet18": 33, "googlenet": 33, "nin": 32, "cifar_vgg": 32, "quick": 33}


@pytest.mark.parametrize("name", SIZES)
def test_built_in_networks_in_eight_bits_give_the_same_scores(name):
    graph = trace(build(name, num_classes=5, image_size=SIZES[name]).eval(), (SIZES[name], SIZES[name], 3))
    model = PackedModel(in_eight_bits(graph, np.random.default_rng(0), exact=True), DataInfo())
    check(model, pixels(model.input_shape, 3), 1e-5)


@pytest.mark.parametrize("mode", ["xnor", "bwn", "float"])
@pytest.mark.parametrize("name", SIZES)
def test_built_in_networks_give_nearly_the_same_scores(name, mode):
    graph = trace(build(name, mode, 5, image_size=SIZES[name]).eval(), (SIZES[name], SIZES[name], 3))
    model = PackedModel(graph, DataInfo(mean=(0.4, 0.5, 0.45), std=(0.2, 0.25, 0.25)))
    x = pixels(model.input_shape, 3)
    y, expected = scores(exported(model), x), model(x)
    # A sum that is rounded elsewhere may turn the sign of a value near 0, which changes the scores a little.
    distance = np.linalg.norm(y - expected) / np.linalg.norm(expected)
    assert distance < (0.1 if mode == "xnor" else 1e-5)


@given(modules(exact=True))
@settings(deadline=None)
def test_random_networks_give_the_same_numbers(program):
    net, shape = program
    model = PackedModel(trace(net, shape), DataInfo())
    x = RNG.integers(-8, 9, (2, *shape)).astype(np.float32) / 4
    check(model, x, 1e-6)
