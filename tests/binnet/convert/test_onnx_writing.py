"""Exported ONNX files: the checker of the package, and ONNX Runtime against the engine."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

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
    model = PackedModel(in_eight_bits(graph, np.random.default_rng(0)), DataInfo())
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


def test_every_kind_of_node_gives_the_engines_numbers():
    maps = [
        XnorConv("x", ("input",), (4, 3, 2, 5), (2, 1), (1, 0, 2, 1), words(4, 3, 2, 5), floats(4), -1, True),
        KbitConv("k", ("input",), (4, 3, 2, 5), (2, 1), (1, 0, 2, 1), words(4, 3, 2, 5, planes=3), None, 1, True, 2),
        Conv("c", ("input",), (10, 3, 3, 1), (1, 2), (0, 1, 1, 0), floats(10, 3, 3, 1), floats(10), 5),
        MaxPool("m", ("x",), (2, 3), (1, 2), (1, 0, 0, 2)),
        AvgPool("a", ("k",), (2, 3), (1, 2), (1, 0, 0, 2)),
        Concatenate("ma", ("m", "a"), -3),
        Constant("one", (), floats(1, 1, 4)),
        Multiply(
            "times",
            ("ma", "one"),
        ),
        Constant("two", (), np.abs(floats(1, 4, 1)) + 1),
        Divide("over", ("times", "two")),
        Tanh("tanh", ("over",)),
        Sigmoid("sigmoid", ("over",)),
        Clip("clip", ("over",), -0.25, 0.5),
        Concatenate("columns", ("tanh", "sigmoid", "clip"), -2),
        Sign("sign", ("columns",), floats(4)),
        Add("sum", ("sign", "columns")),
        Softmax("soft", ("sum",)),
        Quantise("levels", ("soft",), 3),
        Flatten("flat", ("levels",)),
        GlobalAverage("mean", ("c",)),
        Reshape("folded", ("flat",), (12, 1, 24)),
        Flatten("again", ("folded",)),
        Concatenate("last", ("again", "mean")),
    ]
    model = graph_of(*maps)
    check(model, floats(3, 7, 6, 5), 2e-6)


@pytest.mark.parametrize(("channels", "size"), [(3, 3), (600, 3)])
def test_sums_beyond_float32_are_exact(channels, size):
    q = QuantiseLinear("q", ("input",), 0.5, 7)
    weight = np.full((2, size, size, channels), 127, np.int8)
    weight[1] = RNG.integers(-127, 128, weight[1].shape)
    where = ((2, size, size, channels), (1, 1), (1, 1, 1, 0))
    conv = Int8Conv("c", ("q",), *where, np.float32([7]), weight, np.float32([1, 0.3]), bias=floats(2))
    model = graph_of(q, conv, shape=(4, 5, channels))
    check(model, 60 * floats(2, 4, 5, channels) + 100)


def test_pixels_are_normalised_inside_and_names_are_kept():
    info = DataInfo("", ("a", "bé"), (0.4, 0.5), (0.3, 0.2))
    model = graph_of(Sign("s", ("input",)), GlobalAverage("g", ("s",)), shape=(3, 3, 2), info=info)
    proto = exported(model)
    assert {p.key: json.loads(p.value) for p in proto.metadata_props} == {
        "class_names": ["a", "bé"],
        "mean": [0.4, 0.5],
        "std": [0.3, 0.2],
    }
    check(model, pixels((3, 3, 2), 9))


def test_equal_models_give_equal_bytes(tmp_path):
    from binnet.convert.onnx.writing import write

    def text(name: str) -> bytes:
        graph = trace(build("lenet5", seed=3).eval(), (28, 28, 3))
        assert "lenet" not in write(PackedModel(graph, DataInfo()), tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert text("a.onnx") == text("b.onnx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_qonnx_holds_one_bit_weights_as_bipolar_quant():
    conv = XnorConv("x", ("input",), (4, 3, 2, 5), (2, 1), (1, 0, 2, 1), words(4, 3, 2, 5), None)
    proto = exported(graph_of(conv), qonnx=True)
    (quant,) = (node for node in proto.graph.node if node.op_type == "BipolarQuant")
    assert quant.domain == "qonnx.custom_op.general"
    assert {each.domain for each in proto.opset_import} == {"", "qonnx.custom_op.general"}


def test_custom_kinds_and_folders_as_files_are_refused(tmp_path):
    from binnet.convert.onnx.writing import to_onnx, write

    class Cube(Node):
        pass

    with pytest.raises(ConversionError, match="own is a Cube, which has no form in ONNX"):
        to_onnx(graph_of(Cube("own", ("input",))))
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(ConversionError, match=r"cannot write .*m.onnx: "):
        write(graph_of(Sign("s", ("input",))), tmp_path / "m.onnx")
