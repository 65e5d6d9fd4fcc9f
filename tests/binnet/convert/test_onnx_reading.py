"""ONNX files read: networks written here with the package's own helpers, against ONNX Runtime or plain NumPy."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from binnet.convert import Imported, Options, read
from binnet.engine import PackedModel
from binnet.graph import BatchNorm, BwnConv, Conv, QuantiseLinear, XnorConv, trace
from binnet.modelfile.info import DataInfo
from binnet.models import build
from eight_bits import in_eight_bits, pixels
from random_modules import modules

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

RNG = np.random.default_rng(7)


def floats(*shape: int) -> Any:
    return RNG.normal(0, 1, shape).astype(np.float32)


def ones(*shape: int) -> Any:
    return RNG.choice(np.float32([-1, 1]), shape)


class File:
    """An ONNX file in the making; ``x`` is the input, the last result that of the network."""

    def __init__(self, shape: tuple[Any, ...], opset: int = 18, kind: int = 1) -> None:
        self.shape, self.opset, self.kind = shape, opset, kind
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self.last = "x"

    def array(self, array: Any) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind: str, *inputs: Any, domain: str = "", **attributes: Any) -> str:
        """An operation that reads names, or arrays, which become initialisers; without inputs, the last result."""
        names = [each if isinstance(each, str) else self.array(each) for each in inputs]
        if not any(isinstance(each, str) for each in inputs) and kind != "Constant":
            names = [self.last, *names]
        self.last = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [self.last], self.last, domain=domain, **attributes))
        return self.last

    def proto(self) -> Any:
        source = helper.make_tensor_value_info("x", self.kind, self.shape)
        result = helper.make_tensor_value_info(self.last, 1, None)
        graph = helper.make_graph(self.nodes, "test", [source], [result], self.arrays)
        domains = [helper.make_opsetid("", self.opset), helper.make_opsetid("qonnx.custom_op.general", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=8)

    def signs(self, *inputs: str) -> str:
        source = inputs[0] if inputs else self.last
        return self.op("Where", self.op("Less", source, np.float32(0)), np.float32(-1), np.float32(1))

    def read(self, folder: Path, **options: Any) -> Imported:
        path = folder / "m.onnx"
        path.write_bytes(self.proto().SerializeToString())
        return read(path, "onnx", Options(**options))

    def check(self, folder: Path, tolerance: float = 2e-6, **options: Any) -> PackedModel:
        """Read the file, run it on images in quarters, and compare with ONNX Runtime."""
        model = self.read(folder, **options).model
        sizes = [3 if isinstance(n, str) or n is None else n for n in self.shape]
        x = (RNG.integers(-6, 7, sizes) / 4).astype(np.float32)
        expected = run(self.proto(), x)
        image = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x[:, None, None]
        y = model(image)
        y = y.transpose(0, 3, 1, 2) if y.ndim == 4 and expected.ndim == 4 else y
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))
        return model


def run(proto: Any, x: Any) -> Any:
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def kinds(model: PackedModel) -> list[str]:
    return [node.kind for node in model.graph.nodes[1:]]


def test_signs_and_one_bit_weights_become_xnor_conv(tmp_path):
    file = File(("N", 5, 8, 7))
    file.signs()
    file.op("Conv", 0.5 * ones(6, 5, 3, 2), floats(6), pads=(1, 0, 2, 1), strides=(2, 1))
    assert kinds(file.check(tmp_path)) == ["XnorConv", "Shift"]


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0, 0.5])
def test_a_border_of_signs_belongs_to_the_layer(tmp_path, value):
    file = File(("N", 5, 8, 7))
    file.signs()
    file.op("Pad", file.last, np.int64([0, 0, 1, 0, 0, 0, 2, 1]), np.float32(value))
    file.op("Conv", ones(6, 5, 3, 2))
    model = file.check(tmp_path)
    assert kinds(model) == (["XnorConv"] if value != 0.5 else ["Sign", "Pad", "BwnConv"])


def test_signs_that_others_read_too_are_made(tmp_path):
    file = File(("N", 4, 6, 6))
    signed = file.signs()
    conv = file.op("Conv", signed, ones(4, 4, 1, 1))
    pooled = file.op("MaxPool", signed, kernel_shape=(1, 1))
    file.op("Add", conv, pooled)
    file.op("Where", file.op("Greater", file.last, floats(4, 1, 1)), np.float32(2), np.float32(-2))
    assert "XnorConv" in kinds(file.check(tmp_path))


def test_threshold_of_greater_leaves_the_number_itself_below(tmp_path):
    file = File(("N", 4, 6, 6))
    file.op("Where", file.op("Greater", np.float32(0.25)), np.float32(1), np.float32(-1))
    file.check(tmp_path, 0)
    file = File(("N", 4, 6, 6))
    file.op("Where", file.op("LessOrEqual", np.float32(0)), np.float32(-1), np.float32(1))
    file.check(tmp_path, 0)


@pytest.mark.parametrize("opset", [9, 13, 18])
def test_real_layers_and_pools(tmp_path, opset):
    file = File(("N", 4, 9, 8), opset)
    file.op("Conv", floats(6, 2, 3, 3), floats(6), group=2, auto_pad="SAME_UPPER", strides=(2, 2))
    file.op("BatchNormalization", file.last, *(floats(6) for _ in range(3)), np.abs(floats(6)), epsilon=1e-3)
    file.op("Relu", file.last)
    file.op(
        "MaxPool",
        file.last,
        kernel_shape=(3, 2),
        strides=(2, 2),
        pads=(1, 0, 1, 1),
        **({"ceil_mode": 1} if opset > 9 else {}),
    )
    file.op("LeakyRelu", file.last, alpha=0.1)
    file.op("PRelu", file.last, floats(6, 1, 1))
    file.op("AveragePool", file.last, kernel_shape=(2, 2), pads=(1, 1, 0, 0), count_include_pad=1)
    file.op("Tanh", file.last)
    file.op("GlobalAveragePool", file.last)
    file.op("Flatten", file.last)
    file.op("Gemm", file.last, floats(5, 6), floats(5), transB=1, alpha=0.5)
    file.op("Softmax", file.last, axis=1)
    model = file.check(tmp_path)
    assert [type(node) for node in model.graph.nodes[1:4]] == [Conv, BatchNorm, type(model.graph.nodes[3])]


def test_flattened_maps_have_their_weights_put_in_order(tmp_path):
    file = File(("N", 3, 4, 5))
    flat = file.op("Reshape", file.last, np.int64([0, -1]))
    file.op("Mul", flat, floats(60))
    shifted = file.op("Sub", file.last, floats(1, 60))
    joined = file.op("Concat", shifted, flat, axis=-1)
    file.signs(joined)
    hidden = file.op("MatMul", file.last, ones(120, 7))
    file.op("Concat", hidden, file.op("Sigmoid", file.op("MatMul", joined, floats(120, 2))), axis=1)
    assert "XnorConv" in kinds(file.check(tmp_path, 1e-5))


def test_shape_expressions_are_evaluated(tmp_path):
    file = File((1, 3, 4, 5), 11)
    batch = file.op("Gather", file.op("Shape", "x"), np.int64(0), axis=0)
    batch = file.op("Unsqueeze", batch, axes=(0,))
    target = file.op("Concat", batch, np.int64([-1]), axis=0)
    file.op("Reshape", "x", target)
    shaped = file.last
    power = file.op("Pow", file.array(np.float32([3])), file.array(np.float32(2)))
    file.op("MatMul", file.op("Div", shaped, power), floats(60, 2))
    file.check(tmp_path)


def test_arithmetic_with_numbers_channels_and_maps(tmp_path):
    file = File(("N", 3, 4, 5))
    file.op("Add", "x", floats(3, 1, 1))
    file.op("Div", file.last, np.float32(4))
    file.op("Sub", np.float32([1.5]), file.last)
    first = file.op("Mul", file.last, floats(1, 3, 4, 5))
    file.op("Clip", file.op("Sub", first, "x"), np.float32(-1), np.float32(1))
    second = file.op("Neg", file.last)
    file.op("Concat", file.op("Abs", second), first, axis=2)
    mean = file.op("ReduceMean", file.last, np.int64([1]), keepdims=1)
    file.op("Mul", file.nodes[-2].output[0], mean)
    file.op("ReduceMean", file.last, np.int64([-1, -2]), keepdims=0)
    file.check(tmp_path)


def test_bipolar_quant_of_maps_and_weights(tmp_path):
    x, weight = floats(3, 20), floats(20, 6)
    x[0, :4] = 0, -0.0, 0, 1
    domain = "qonnx.custom_op.general"
    file = File(("N", 20))
    signed = file.op("BipolarQuant", "x", np.float32(0.5), domain=domain)
    quantised = [weight, np.float32(2), np.float32(0), np.float32(1)]
    weights = file.op("Quant", *(file.array(each) for each in quantised), domain=domain, signed=1)
    file.op("MatMul", signed, weights)
    model = file.read(tmp_path).model
    expected = np.where(x >= 0, 0.5, -0.5) @ np.where(weight >= 0, 2, -2)
    np.testing.assert_array_equal(model(x[:, None, None]), expected.astype(np.float32))
    assert kinds(model) == ["Flatten", "XnorConv"]


def test_one_bit_weights_of_real_maps_become_bwn_conv(tmp_path):
    file = File(("N", 4, 6, 6))
    file.op("Transpose", file.array(ones(3, 3, 4, 5)), perm=(3, 2, 0, 1))
    file.op("Conv", "x", file.last)
    model = file.check(tmp_path)
    assert isinstance(model.graph.nodes[-1], BwnConv)


SIZES = {"lenet5": 28, "alexnet": 67, "resnet18": 33, "googlenet": 33, "nin": 32, "cifar_vgg": 32, "quick": 33}


def again(model: PackedModel, folder: Path, qonnx: bool = False) -> PackedModel:
    from binnet.convert.onnx.writing import write

    write(model, folder / "own.onnx", qonnx)
    return read(folder / "own.onnx", "onnx").model


@pytest.mark.parametrize("qonnx", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_our_own_files_come_back(tmp_path, name, qonnx):
    size = SIZES[name]
    graph = trace(build(name, num_classes=5, image_size=size, use_k=qonnx).eval(), (size, size, 3))
    model = PackedModel(graph, DataInfo("", ("a", "b", "c", "d", "é"), (0.4, 0.5, 0.45), (0.2, 0.25, 0.25)))
    back = again(model, tmp_path, qonnx)
    assert back.info.class_names == model.info.class_names
    assert back.info.mean == model.info.mean
    counts = [sum(isinstance(node, XnorConv) for node in each.graph) for each in (model, back)]
    assert counts[0] == counts[1] > 0
    x = pixels(model.input_shape, 3)
    y, expected = back(x), model(x)
    assert np.linalg.norm(y - expected) <= (0.2 if qonnx else 1e-5) * np.linalg.norm(expected)


@pytest.mark.parametrize("with_pixels", [True, False])
def test_our_own_files_in_eight_bits_come_back(tmp_path, with_pixels):
    graph = trace(build("lenet5", num_classes=5).eval(), (28, 28, 3))
    model = PackedModel(in_eight_bits(graph, np.random.default_rng(0), pixels=with_pixels, exact=True), DataInfo())
    back = again(model, tmp_path)
    assert any(isinstance(node, QuantiseLinear) for node in back.graph)
    x = pixels(model.input_shape, 3)
    y = back(x) if with_pixels else back(np.float32(x) / 64 - 2)
    expected = model(x) if with_pixels else model(np.float32(x) / 64 - 2)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@given(modules(exact=True))
@settings(deadline=None)
def test_random_networks_come_back(tmp_path_factory, program):
    net, shape = program
    model = PackedModel(trace(net, shape), DataInfo())
    x = RNG.integers(-8, 9, (2, *shape)).astype(np.float32) / 4
    y, expected = again(model, tmp_path_factory.mktemp("own"))(x), model(x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


SAMPLE = Path(os.environ.get("BINNET_SHARED", "none"), "data", "foreign", "TFC_1W1A.onnx")


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the sample is not here")
def test_sample_gives_the_logits_of_plain_numpy():
    images = RNG.integers(0, 256, (40, 28, 28, 1), np.uint8)
    model = read(SAMPLE, "onnx", Options(mean=(0.0,), std=(1.0,))).model
    a = {each.name: numpy_helper.to_array(each) for each in onnx.load(SAMPLE).graph.initializer}
    h = images.reshape(40, -1) / np.float32(255) * a["32"] - a["34"]
    for weight, norm in (("38", "features.3"), ("46", "features.7"), ("54", "features.11"), ("62", "")):
        h = np.where(h >= 0, 1.0, -1.0) @ np.where(a[weight] >= 0, 1.0, -1.0).T
        if norm:
            mean, var, gamma, beta = (a[f"{norm}.{w}"] for w in ("running_mean", "running_var", "weight", "bias"))
            h = (h - mean) / np.sqrt(var + 1e-5) * gamma + beta
    last = "features.15"
    expected = (h - a[f"{last}.running_mean"]) / a["76"] ** a["70"] * a[f"{last}.weight"] + a[f"{last}.bias"]
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-5)
    assert [node.kind for node in model.graph].count("XnorConv") == 4
