"""Plain files out of a packed model: whoever has NumPy and docs/embedding.md computes the same logits."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet import Tensor, cross_entropy, models, optim
from binnet.cli import main
from binnet.engine.export import export
from binnet.modelfile.container import StorageError
from binnet.modelfile.info import DataInfo

INFO = DataInfo("", ("ä", "b", "c"), (0.5,) * 3, (0.25,) * 3)

# ---------------------------------------------------------------------------------------------- an engine of its own


def windows(x, size, stride, padding, pad):
    """(N, OH, OW, C, KH, KW)."""
    (top, bottom, left, right), (sh, sw) = padding, stride
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad)
    return np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))[:, ::sh, ::sw]


def filters(node, arrays):
    """(O, KH, KW, C) and the x that goes with them is (N, H, W, C)."""
    if "weight" in arrays:
        weight = arrays["weight"]
    else:
        planes = arrays["planes"] if "planes" in arrays else arrays["signs"][None]
        bits = np.unpackbits(planes.astype("<u8").view(np.uint8), axis=1, bitorder="little")
        signs = 1.0 - 2.0 * bits[:, : np.prod(node["settings"]["shape"])]
        weight = (2.0 ** np.arange(len(planes)) @ signs / (2 ** len(planes) - 1)).reshape(node["settings"]["shape"])
    return weight.reshape(weight.shape[0], 1, 1, -1) if weight.ndim == 2 else weight


def levels(x, bits):
    most = 2.0**bits - 1
    return (2 * np.floor(most * np.clip(x, -1, 1) / 2) + 1) / most


def convolution(x, node, arrays):
    dense, weight = len(node["settings"]["shape"]) == 2, filters(node, arrays)
    if dense:
        x = x[:, None, None]
    place = (weight.shape[1:3], node["settings"]["stride"], node["settings"]["padding"])
    seen = levels(x, node["settings"].get("act_bits", 1)) if "pad_value" in node["settings"] else x
    y = np.einsum(
        "nhwcij,oijc->nhwo", windows(seen, *place, node["settings"].get("pad_value", 0.0)), weight, optimize=True
    )
    if "alpha" in arrays:
        y = y * arrays["alpha"]
    if node["settings"].get("use_k"):
        y = y * windows(np.abs(x).mean(axis=3, keepdims=True), *place, 0.0).mean(axis=(4, 5))
    if "bias" in arrays:
        y = y + arrays["bias"]
    return y[:, 0, 0] if dense else y


def pooling(x, node):
    largest, settings = node["kind"] == "MaxPool", node["settings"]
    window = (settings["kernel_size"], settings["stride"], settings["padding"])
    view = windows(x, *window, -np.inf if largest else 0.0)
    return view.max(axis=(4, 5)) if largest else view.mean(axis=(4, 5))


def run(folder, images):
    graph, results = json.loads((folder / "graph.json").read_text(encoding="utf-8")), {}
    for node in graph["nodes"]:
        arrays = {field: np.load(folder / file) for field, file in node["arrays"].items()}
        inputs, kind = [results[name] for name in node["inputs"]], node["kind"]
        x = inputs[0] if inputs else images.astype(np.float64)
        if kind in ("Conv", "BwnConv", "XnorConv", "KbitConv"):
            x = convolution(x, node, arrays)
        elif kind == "BatchNorm":
            x = (x - arrays["mean"]) * arrays["factor"] + arrays["shift"]
        elif kind == "Relu":
            x = np.maximum(x, 0)
        elif kind == "Sign":
            x = np.where(x < 0, -1.0, 1.0)
        elif kind == "Quantise":
            x = levels(x, node["settings"]["bits"])
        elif kind in ("MaxPool", "AvgPool"):
            x = pooling(x, node)
        elif kind == "GlobalAverage":
            x = x.mean(axis=(1, 2))
        elif kind == "Flatten":
            x = x.reshape(len(x), -1)
        elif kind == "Add":
            x = inputs[0] + inputs[1]
        else:
            assert kind == "Input"
        assert list(x.shape[1:]) == node["output"], node["name"]
        results[node["name"]] = x
    return results[graph["result"]]


# ---------------------------------------------------------------------------------------------- tests


def trained(name, binarize, size, **options):
    """A network after two steps, so that no statistic is the initial one."""
    net = models.build(name, binarize, num_classes=3, in_channels=2, image_size=size, **options)
    optimizer, rng = optim.SGD(net.parameters(), 0.02), np.random.default_rng(2)
    for _ in range(2):
        optimizer.zero_grad()
        cross_entropy(net(Tensor(rng.standard_normal((3, size, size, 2)))), np.arange(3)).backward()
        optimizer.step()
    return binnet.pack(net, DataInfo("photos", ("ä", "b", "c"), (0.5, 0.4), (0.2, 0.1)))


@pytest.mark.parametrize(
    ("name", "binarize", "size", "options"),
    [
        ("lenet5", "xnor", 8, {}),
        ("lenet5", "xnor", 8, {"use_k": True, "pad_value": -1}),
        ("lenet5", "bnn", 8, {"order": "cbap"}),
        ("lenet5", "bwn", 8, {"center": True}),
        ("lenet5", "float", 8, {}),
        ("quick", "xnor", 32, {}),
        ("nin", "xnor", 32, {"pad_value": 1}),
        ("resnet18", "xnor", 32, {}),
        ("resnet18", "xnor", 32, {"order": "cbap"}),
        ("lenet5", "xnor", 8, {"weight_bits": 2, "act_bits": 2, "pad_value": -1}),
        ("lenet5", "bnn", 8, {"act_bits": 3, "order": "cbap"}),
    ],
)
def test_numpy_alone_computes_the_same_logits(name, binarize, size, options, tmp_path):
    model = trained(name, binarize, size, **options)
    export(model, tmp_path / "out")
    x = np.random.default_rng(3).standard_normal((2, size, size, 2)).astype(np.float32)
    found, expected = run(tmp_path / "out", x), model(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected) > 1e-3


def test_the_files(tmp_path):
    model = trained("lenet5", "xnor", 8)
    files = export(model, tmp_path / "a" / "out")
    assert {f.name for f in files} == {"graph.json", *(f"{name}.npy" for name in model.arrays())}
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(np.load(tmp_path / "a" / "out" / f"{name}.npy"), array, strict=True)
    graph = json.loads((tmp_path / "a" / "out" / "graph.json").read_text(encoding="utf-8"))
    assert graph["data"] == {"dataset": "photos", "class_names": ["ä", "b", "c"], "mean": [0.5, 0.4], "std": [0.2, 0.1]}
    settings = {"shape": [8, 8, 2], "any_size": False}
    first = {"name": "input", "kind": "Input", "inputs": [], "settings": settings, "arrays": {}, "output": [8, 8, 2]}
    assert graph["nodes"][0] == first
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["out"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    model = trained("lenet5", "xnor", 8)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    for path in (tmp_path / "full", tmp_path / "full" / "mine"):
        with pytest.raises(StorageError, match=r"holds something already; export to a new or an empty folder"):
            export(model, path)
    with pytest.raises(StorageError, match=r"cannot write .*: "):
        export(model, tmp_path / "full" / "mine" / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["full", "mine"]
    (tmp_path / "empty").mkdir()
    assert export(model, tmp_path / "empty")


def test_half_an_export_is_never_seen(tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", stop)
    with pytest.raises(StorageError, match=r"cannot write .*out: No space left on device"):
        export(trained("lenet5", "xnor", 8), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_documentation_names_every_kind_and_field(root):
    from binnet.graph import KINDS

    text = (root / "docs" / "embedding.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`(\w+)`", text))
    own = {name for name, kind in KINDS.items() if kind.__module__.startswith("binnet.")}
    assert words >= {*own, "signs", "alpha", "weight", "bias", "mean", "factor", "shift"}


@pytest.mark.parametrize("model", ["packed.h5", "quick-tiny20"], ids=["data set", "store"])
def test_the_two_lines_in_the_documentation(root, tmp_path, monkeypatch, capsys, model):
    """From a file to the name of a class, beside what ``binnet predict`` says."""
    text = (root / "docs" / "embedding.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) == 2
    binnet.pack(models.build("lenet5", num_classes=3, image_size=8), INFO).save(tmp_path / "packed.h5")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("packed.h5", model), "embedding.md", "exec"), {})
    said = capsys.readouterr().out.strip()
    of = [model] if model.endswith(".h5") else ["--model", model]
    assert main(["predict", *of, "photo.jpg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["classes"][0]["class"] == said
