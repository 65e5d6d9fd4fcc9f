"""Exported pages: their WebAssembly in Node, and the page in a browser."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet.convert import ConversionError
from binnet.convert.web import page, wasm
from binnet.engine import PackedModel
from binnet.graph import Graph, Input, MaxPool
from binnet.modelfile.info import DataInfo

RUN = """
const fs = require("fs");
const given = {env: {exp: Math.exp, tanh: Math.tanh}};
WebAssembly.instantiate(fs.readFileSync(process.argv[2]), given).then(({instance}) => {
  const wasm = instance.exports, images = fs.readFileSync(process.argv[3]), scores = [];
  const size = images.length / Number(process.argv[4]);
  if (wasm.selftest() !== 0) throw new Error("the self-test fails");
  for (let at = 0; at < images.length; at += size) {
    new Uint8Array(wasm.memory.buffer, wasm.pixels(), size).set(images.subarray(at, at + size));
    wasm.run();
    scores.push(Array.from(new Float32Array(wasm.memory.buffer, wasm.scores(), Number(process.argv[5]))));
  }
  console.log(JSON.stringify(scores));
});
"""


@pytest.fixture(scope="module")
def shipped():
    if not list(wasm.compilers()):
        pytest.skip("no compiler for WebAssembly is installed")
    model = binnet.load("quick-tiny20")
    return model, page(model)


def data_of(text):
    return json.loads(re.search(r"const model = (.*);\n", text).group(1))


def test_the_page_is_complete_in_itself(shipped):
    model, text = shipped
    data = data_of(text)
    assert data["classes"] == list(model.info.class_names)
    assert (data["rows"], data["columns"], data["channels"]) == model.input_shape
    assert not re.search(r"(src|href)=|https?://", text)
    assert "default-src 'none'" in text


def test_every_compiler_makes_a_module(shipped, monkeypatch):
    for each in list(wasm.compilers()):
        monkeypatch.setattr(wasm, "compilers", lambda each=each: iter([each]))
        assert wasm.compile_wasm(shipped[0]).startswith(b"\0asm")


def test_the_network_in_node_gives_the_scores_of_the_engine(shipped, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    model, text = shipped
    images = np.random.default_rng(0).integers(0, 256, (5, *model.input_shape), np.uint8)
    (tmp_path / "net.wasm").write_bytes(base64.b64decode(data_of(text)["wasm"]))
    (tmp_path / "images").write_bytes(images.tobytes())
    (tmp_path / "run.js").write_text(RUN)
    words = [node, "run.js", "net.wasm", "images", "5", str(model.num_classes)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = model(images)
    # WebAssembly has no fused multiply-adds, so the last bits of sums differ.
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_a_photograph_in_the_browser(shipped, tmp_path, browser):
    model, text = shipped
    (tmp_path / "page.html").write_text(text)
    rng, names = np.random.default_rng(1), []
    for i in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
        names.append(tmp_path / f"{i}.png")
        coarse.resize((230, 171), Image.Resampling.BICUBIC).save(names[-1])
    tab = browser.new_page(viewport={"width": 400, "height": 800})
    problems = []
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto((tmp_path / "page.html").as_uri())
    for name in names:
        before = tab.inner_text("#said")
        tab.set_input_files("#file", str(name))
        for _ in range(200):
            tab.wait_for_timeout(20)
            if tab.inner_text("#said") != before:
                break
        (best, probability), *_ = model.predict(name)
        said = tab.inner_text("#said")
        assert said.startswith(f"{best}, ")
        assert abs(float(said.split(", ")[1].split()[0]) / 100 - probability) < 0.02
    tab.set_input_files("#file", str(tmp_path / "page.html"))
    for _ in range(200):
        tab.wait_for_timeout(20)
        if "cannot" in tab.inner_text("#said"):
            break
    assert tab.inner_text("#said").startswith("This file cannot be read as an image")
    assert problems == []
    tab.close()


def test_models_that_a_page_cannot_show_are_refused():
    net = binnet.models.build("lenet5", num_classes=3, in_channels=2, image_size=8)
    with pytest.raises(ValueError, match="does not say how images are normalised"):
        page(binnet.pack(net))
    with pytest.raises(ConversionError, match="a page takes images of 1 or 3 channels, the model has 2"):
        page(binnet.pack(net, mean=(0, 0), std=(1, 1)))
    pooled = Graph([Input("x", (), (4, 4, 1)), MaxPool("p", ("x",), (2, 2), (2, 2), (0, 0, 0, 0))])
    with pytest.raises(ConversionError, match=r"a page shows one score for each class, the model gives \(2, 2, 1\)"):
        page(PackedModel(pooled, DataInfo(mean=(0.0,), std=(1.0,))))
