"""Figures that the pages state in words, computed again; words that the pages must not use."""

import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet.nn.binary import BinaryLayer
from live_parts import part

VERDICTS = {"agrees", "disagrees", "cannot tell"}


def words(path: Path) -> str:
    """A page in one line."""
    return " ".join(path.read_text("utf-8").split())


@pytest.fixture(scope="module")
def material():
    return part("material")


def effects_of_alpha(model: str, size: int, channels: int) -> dict[str, float]:
    """By how many per cent the logits change when a binary layer has 4 times its weights."""
    network = binnet.models.build(model, "xnor", 10, channels, size, seed=0)
    x = np.random.default_rng(0).standard_normal((16, size, size, channels), dtype=np.float32)
    found = {}
    with binnet.no_grad():
        before = network(binnet.Tensor(x)).numpy()
        for path, layer in network.named_modules():
            if isinstance(layer, BinaryLayer):
                layer.weight.data *= 4
                found[path] = 100 * float(
                    np.abs(network(binnet.Tensor(x)).numpy() - before).max() / np.abs(before).max()
                )
                layer.weight.data /= 4
    return found


@pytest.mark.parametrize(
    ("model", "size", "channels", "name", "free"),
    [
        ("lenet5", 28, 1, "LeNet-5", "dense3"),
        ("quick", 64, 3, "`quick`", "body.conv2"),
        ("resnet18", 64, 3, "ResNet-18", "body.conv2"),
    ],
)
def test_alpha_matters_where_results_say(root, model, size, channels, name, free):
    found = effects_of_alpha(model, size, channels)
    stated = re.search(rf"([\d to]+) % \({name}\)", words(root / "docs" / "results.md"))
    assert stated is not None
    low, *rest = map(float, stated[1].split(" to "))
    high = rest[0] if rest else low
    at_work = [effect for path, effect in found.items() if path.endswith(free)]
    assert min(at_work) == pytest.approx(low, rel=0.02)
    assert max(at_work) == pytest.approx(high, rel=0.02)
    assert max((effect for path, effect in found.items() if not path.endswith(free)), default=0) < 0.04


def test_k_on_validation_photographs(root, shared, material):
    with tarfile.open(shared / "data" / "tiny-imagenet-20.tar") as tar:
        members = [m for m in tar.getmembers() if "val/images" in m.name and m.name.endswith("JPEG")][::50]
        photos = [np.asarray(Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB")) for m in members]
    assert len(photos) == 20
    lowered, farther = 0, 0
    for layer, x in material.binary_layers("quick-tiny20", np.stack(photos)):
        exact = layer.scaled(layer.convolve(x, layer.weight_sign))
        without = layer.compute(x)
        with_k = without * layer.scale_map(x)
        for a, b, e in zip(without, with_k, exact, strict=True):
            lowered += np.corrcoef(b.ravel(), e.ravel())[0, 1] < np.corrcoef(a.ravel(), e.ravel())[0, 1]
        farther += np.linalg.norm(with_k - exact) > np.linalg.norm(without - exact)
    page = words(root / "docs" / "paper" / "4-on-a-photograph.md")
    stated = re.search(r"which are not part of these pages, it is (\d+) cases of 120", page)
    assert stated is not None
    assert abs(lowered - int(stated[1])) <= 1  # a correlation may differ in its last digits
    assert farther == 4


def test_sections_of_the_photograph(material):
    pytest.importorskip("matplotlib", reason="the photograph comes with matplotlib")
    pixels = material.sections(photographs=5)
    assert pixels.shape == (5, 64, 64, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, material.sections(photographs=5))


def test_verdicts_are_three_words(root):
    lines = (root / "docs" / "results.md").read_text("utf-8").splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("| the paper | here |")]
    assert heads
    for head in heads:
        for line in lines[head + 2 :]:
            if not line.startswith("|"):
                break
            assert line.split("|")[3].strip() in VERDICTS, line


def test_tables_name_imagenet_beside_other_data(root):
    for line in (root / "docs" / "results.md").read_text("utf-8").splitlines():
        if re.search(r"paper\b[^|]*top-1", line) and line.startswith("|"):
            assert "ImageNet" in line, line


@pytest.mark.parametrize(
    "phrase",
    [
        "what makes XNOR-Net work or fail",
        "nearly all of the error",
        "there is little speed to gain",
        "these layers gain little speed:",
        "in all networks here",
        "in two ways. Through",
    ],
)
def test_corrected_sentences_do_not_return(root, phrase):
    pages = [*(root / "docs").glob("*.md"), *(root / "docs" / "paper").glob("*.md"), root / "README.md"]
    assert [page.name for page in pages if phrase in words(page)] == []
