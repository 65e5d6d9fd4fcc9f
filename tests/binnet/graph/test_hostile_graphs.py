"""Files with a right checksum whose graph was made to do harm: refused in one short line, in little time and memory."""

import itertools
import time
import tracemalloc

import numpy as np
import pytest

import binnet
from binnet.modelfile import PACKED, StorageError, container
from binnet.modelfile.info import DataInfo


def node(name, kind, inputs, settings=None, arrays=None):
    return {
        "name": name,
        "kind": kind,
        "inputs": inputs,
        "settings": settings or {},
        "arrays": arrays or {},
    }


IMAGES = node("input", "Input", [], {"shape": [4, 4, 1], "any_size": False})


def write(folder, nodes, arrays=None, built=None):
    path = folder / "m.h5"
    container.save(path, PACKED, arrays or {}, {"graph": nodes, "data": DataInfo().to_dict(), "built": built})
    return path


def refused(path):
    with pytest.raises(StorageError) as caught:
        binnet.load(path)
    words = str(caught.value)
    assert words.isprintable()
    assert len(words) < 300 + len(str(path))
    return words


MANY = {"a": np.arange(300, dtype=np.float32)}


@pytest.mark.parametrize(
    ("nodes", "arrays"),
    [
        ([IMAGES, node("two\nlines", "Unknown", ["input"])], {}),
        ([IMAGES, node("a", "Relu", ["input"], {"two\nlines": 1})], {}),
        ([IMAGES, node("a", "Relu", ["in\x1b[31mput"])], {}),
        ([IMAGES, node("a" * 100_000, "Quantise", ["input"], {"bits": 0})], {}),
        ([IMAGES, node("a", "Quantise", ["input"], {"bits": list(range(100_000))})], {}),
        ([IMAGES, node("a", "Quantise", ["input"], {}, {"bits": "a"})], MANY),
        ([node("input", "Input", [], {}, {"shape": "a"}), node("a", "Relu", ["input"])], MANY),
        ([IMAGES, node("a", "Pad", ["input"], {"padding": [1, 1, 1, 1], "value": 10**400})], {}),
        ([IMAGES, node("a", "Scale", ["input"], {}, {"factor": "a"})], {"a": np.zeros(0, np.float32)}),
        (
            [
                IMAGES,
                node("c", "Constant", [], {}, {"array": "a"}),
                node("a", "Concatenate", ["input", "c"], {"axis": -3}),
            ],
            {"a": np.zeros((0, 4, 1), np.float32)},
        ),
    ],
)
def test_what_a_sentence_repeats_of_a_file_is_one_short_line(tmp_path, nodes, arrays):
    refused(write(tmp_path, nodes, arrays))


def test_images_are_no_larger_than_any_other_map(tmp_path):
    """`predict` would make an image of this size."""
    images = node("input", "Input", [], {"shape": [65536, 65536, 3], "any_size": False})
    assert "larger than" in refused(write(tmp_path, [images, node("a", "GlobalAverage", ["input"])]))


@pytest.mark.parametrize(
    "built", [{}, {"name": "lenet5"}, {"name": ["a"], "binarize": {}}, {"name": "\n", "binarize": "a"}]
)
def test_built_holds_the_words_that_are_shown(tmp_path, built):
    assert "built" in refused(write(tmp_path, [IMAGES, node("a", "Relu", ["input"])], built=built))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_one_array_that_many_nodes_name_is_checked_and_widened_once(tmp_path, dtype):
    settings = {"shape": [500, 1, 1, 500], "stride": [1, 1], "padding": [0, 0, 0, 0]}
    images = node("input", "Input", [], {"shape": [1, 1, 500], "any_size": False})
    names = ["input", *(f"c{i}" for i in range(1000))]
    convs = [node(b, "Conv", [a], settings, {"weight": "w"}) for a, b in itertools.pairwise(names)]
    path = write(tmp_path, [images, *convs], {"w": np.ones((500, 1, 1, 500), dtype)})
    begun = time.perf_counter()
    tracemalloc.start()
    try:
        assert len(binnet.load(path).graph) == 1001
        assert tracemalloc.get_traced_memory()[1] < 20_000_000  # a copy for each node would be 1 GB
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - begun < 5
