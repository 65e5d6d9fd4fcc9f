"""ONNX files that are damaged, hostile, or hold what binnet does not read: one sentence for each."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from binnet.cli import main
from binnet.convert import ConversionError, Options, read

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

W = np.ones((2, 3, 1, 1), np.float32)


def model(*nodes: Any, arrays: Any = (), shape: Any = ("N", 3, 4, 4), result: str = "y", opset: int = 18) -> Any:
    """A file with input ``x`` and the arrays ``w``, ``a0`` and so on."""
    held = [
        numpy_helper.from_array(W, "w"),
        *(numpy_helper.from_array(np.asarray(a), f"a{i}") for i, a in enumerate(arrays)),
    ]
    source, target = helper.make_tensor_value_info("x", 1, shape), helper.make_tensor_value_info(result, 1, None)
    graph = helper.make_graph(list(nodes), "test", [source], [target], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def op(kind: str, inputs: str, result: str = "y", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [result], f"op_{result}", **attributes)


def sentence(tmp_path: Path, proto: Any, **options: Any) -> str:
    path = tmp_path / "m.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    with pytest.raises(ConversionError) as caught:
        read(path, "onnx", Options(**options))
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


CASES = {
    "is a Relu of the domain 'my.own', which": model(
        helper.make_node("Relu", ["x"], ["y"], "op_y", domain="my.own"), shape=("N", 3, 4, 4)
    ),
    "has biases (2, 1), expected 2 numbers or one": model(
        op("Flatten", "x", "f"), op("Gemm", "f a0 a1", transB=1), arrays=[np.ones((2, 48)), np.ones((2, 1))]
    ),
    "is a LSTM, which binnet does not know": model(op("LSTM", "x")),
    "reads z, which nothing before it gives": model(op("Relu", "z", "z2"), op("Relu", "z2")),
    "reads y, which nothing": model(op("Add", "x y", "z"), op("Relu", "z")),
    "two operations or arrays give y": model(op("Relu", "x"), op("Relu", "x")),
    "nothing gives the result q": model(op("Relu", "x"), result="q"),
    "leaves the size of an image open": model(op("Relu", "x"), shape=("N", 3, "h", "w")),
    "its input has 3 axes": model(op("Relu", "x"), shape=("N", 3, 4)),
    "of version 3": model(op("Relu", "x"), opset=3),
    "operations, expected 1": model(),
    "rounds real numbers": model(op("Round", "x")),
    "has dilations = ": model(op("Conv", "x w", dilations=(2, 2))),
    "expects (N, H, W, 2)": model(op("Conv", "x a0"), arrays=[np.ones((1, 2, 3, 3), np.float32)]),
    "has weights (3,)": model(op("Conv", "x a0"), arrays=[np.ones(3, np.float32)]),
    "leaves its border out": model(op("AveragePool", "x", kernel_shape=(2, 2), pads=(1, 1, 0, 0))),
    "kernel_shape": model(op("MaxPool", "x")),
    "expected (N, I) and (O, I)": model(op("MatMul", "x a0"), arrays=[W[..., 0, 0]]),
    "numbers for an image": model(op("Reshape", "x a0"), arrays=[np.int64([0, 7])]),
    "another order": model(op("Flatten", "x", "f"), op("Reshape", "f a0"), arrays=[np.int64([0, 3, 4, 4])]),
    "flattened map, whose order": model(op("Flatten", "x")),
    "expected one of 4 axes": model(op("Transpose", "x", perm=(1, 0, 2, 3))),
    "quantises a map to [4.0] bits": model(op("Quant", "x a0 a1 a2"), arrays=np.float32([1, 0, 4])),
    "has a scale of shape (3,)": model(op("BipolarQuant", "x a0"), arrays=[np.ones(3, np.float32)]),
    "gives 2.0 below": model(op("Less", "x a0", "l"), op("Where", "l a1 a2"), arrays=np.float32([0, 2, -2])),
    "other numbers for each image": model(op("Add", "x a0"), arrays=[np.ones((2, 3, 4, 4), np.float32)]),
    "finite": model(op("Add", "x a0"), arrays=[np.float32([np.nan])]),
    "does not depend on the input": model(op("Neg", "w")),
    "a variance": model(op("BatchNormalization", "x a0 a0 a0 a0"), arrays=[-np.ones(3, np.float32)]),
    "wrong type": model(op("Flatten", "x", axis=1.5)),
    "does not fit": model(op("Concat", "w a0", "c", axis=7), op("Add", "x c"), arrays=[W]),
    "graph or something else": model(op("If", "x", then_branch=model(op("Relu", "x")).graph)),
}


@pytest.mark.parametrize("text", CASES)
def test_what_binnet_does_not_read_is_said_in_one_sentence(tmp_path, text):
    assert text in sentence(tmp_path, CASES[text])


def test_sizes_of_images_may_be_given_and_must_fit(tmp_path):
    proto = model(op("Relu", "x"), shape=("N", 3, "h", "w"))
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    assert read(path, "onnx", Options(input_shape=(5, 6, 3))).model.input_shape == (5, 6, 3)
    assert "takes images of" in sentence(tmp_path, proto, input_shape=(5, 6, 2))


def test_external_data_and_wrong_lengths_are_refused(tmp_path):
    proto = model(op("Conv", "x w"))
    tensor = proto.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-4]
    assert "array w is damaged" in sentence(tmp_path, proto)
    tensor.dims[:] = [1 << 40, 1 << 20]
    assert "array w is damaged" in sentence(tmp_path, proto)
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.data_location = 1
    assert "another file" in sentence(tmp_path, proto)


def test_arrays_that_double_do_not_fill_memory(tmp_path):
    nodes = [op("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(60)]
    proto = model(op("Identity", "w", "c0"), *nodes, op("Add", "x c60"))
    assert "more than 268,435,456 values" in sentence(tmp_path, proto)
    nodes = [op("Mul", "a0 a1", "m0"), op("Mul", "m0 a2", "m1"), op("Add", "x m1")]
    arrays = [np.ones((1000, 1, 1), np.float32), np.ones((1000, 1), np.float32), np.ones(1000, np.float32)]
    assert "more than 268,435,456 values" in sentence(tmp_path, model(*nodes, arrays=arrays))
    nodes = [op("Concat", f"c{i} c{i}", f"c{i + 1}", axis=1) for i in range(60)]
    assert "more than 67,108,864" in sentence(tmp_path, model(op("Relu", "x", "c0"), *nodes, op("Relu", "c60")))
    assert "more than 67,108,864" in sentence(tmp_path, model(op("Flatten", "x"), shape=("N", 60000, 60000, 60000)))


def test_damaged_files_give_one_sentence_or_a_model(tmp_path):
    nodes = [
        op("Pad", "x a0", "p"),
        op("Less", "p a1", "l"),
        op("Where", "l a2 a3", "s"),
        op("Conv", "s w", "c"),
        op("MaxPool", "c", "m", kernel_shape=(2, 2)),
        op("Flatten", "m", "f"),
        op("Gemm", "f a4", transB=1),
    ]
    zero = np.float32(0)
    arrays = [np.int64([0, 0, 1, 1, 0, 0, 1, 1]), zero, np.float32(-1), np.float32(1), np.ones((2, 50), np.float32)]
    data = model(*nodes, arrays=arrays).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert read(path, "onnx").model.num_classes == 2
    rng = np.random.default_rng(0)
    for trial in range(600):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        if trial % 4 == 0:
            damaged = damaged[: rng.integers(len(damaged))]
        path.write_bytes(damaged)
        with contextlib.suppress(ConversionError):
            read(path, "onnx")


def test_the_command_line_names_the_layer(tmp_path, capsys):
    path = tmp_path / "m.onnx"
    path.write_bytes(model(op("LSTM", "x")).SerializeToString())
    assert main(["import", str(path), str(tmp_path / "m.h5"), "--from", "onnx"]) != 0
    assert "op_y is a LSTM" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "none.onnx"), str(tmp_path / "m.h5"), "--from", "onnx"]) != 0
