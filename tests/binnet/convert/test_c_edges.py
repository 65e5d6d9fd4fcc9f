"""Exported C at its edges: infinite values, and names of files, nodes and functions."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from binnet import graph as g
from binnet.convert import ConversionError
from binnet.convert.c import Settings, generate, write
from binnet.engine import PackedModel
from binnet.graph import Graph, Input
from binnet.modelfile.info import DataInfo
from eight_bits import conv

X = Input("x", (), (1, 1, 2))
FLAT = g.Flatten("f", ("x",))
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")


def model(*nodes, **info):
    return PackedModel(Graph(nodes), DataInfo(**info))


def fails(folder, made, settings=Settings()):  # noqa: B008  # it is frozen
    """The number of scores that the self-test of a model's program finds wrong."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    write(made, folder / "m.c", settings)
    (folder / "main.c").write_text('#include "m.h"\nint main(void) { return m_selftest(); }\n')
    subprocess.run(["cc", *STRICT, "m.c", "main.c", "-o", "m", "-lm"], cwd=folder, check=True)
    return subprocess.run([str(folder / "m")]).returncode


def test_minus_infinity_is_negative(tmp_path):
    # A map that overflows, joined so that its bits are packed from floats.
    factor = np.float32([3e38])
    nodes = [
        X,
        g.Scale("once", ("x",), factor),
        g.Scale("twice", ("once",), factor),
        g.Concatenate("both", ("twice", "once")),
        g.XnorConv("n", ("both",), (3, 1, 1, 4), (1, 1), (0, 0, 0, 0), np.zeros(1, np.uint64), None),
    ]
    assert fails(tmp_path, model(*nodes)) == 0


@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_layers_with_k(tmp_path, pad_value):
    signs, alpha = np.array([0b1011001], np.uint64), np.float32([0.5, 2, 1])
    settings = ((3, 3, 2, 2), (1, 1), (1, 0, 1, 1), signs, alpha, pad_value, True)
    assert fails(tmp_path, model(Input("x", (), (4, 5, 2)), g.XnorConv("n", ("x",), *settings))) == 0


def test_scores_that_are_no_numbers(tmp_path):
    nodes = [X, g.Relu("r", ("x",)), g.Divide("d", ("r", "r"))]
    assert fails(tmp_path, model(*nodes)) == 0


SIGNS, NO_BORDER = np.array([0b1011], np.uint64), ((1, 1), (0, 0, 0, 0))
ALONE = {
    "bits": g.XnorConv("n", ("x",), (2, 1, 1, 2), *NO_BORDER, SIGNS, None),
    "planes": g.KbitConv("n", ("x",), (2, 1, 1, 2), *NO_BORDER, np.array([[9], [6]], np.uint64), None),
    "signs": g.BwnConv("n", ("x",), (2, 1, 1, 2), *NO_BORDER, SIGNS, np.float32([0.5, 2])),
    "floats": g.Conv("n", ("x",), (2, 1, 1, 2), *NO_BORDER, np.ones((2, 1, 1, 2), np.float32), None),
    "nothing": g.Flatten("n", ("x",)),
}


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("kind", ALONE)
def test_a_layer_without_others_compiles_without_warnings(tmp_path, kind, bits):
    assert fails(tmp_path, model(X, ALONE[kind]), Settings(word_bits=bits)) == 0


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("rows", [5, 300])
def test_layers_in_eight_bits_alone(tmp_path, bits, rows):
    layer = conv(o=3, c=2, padding=(rows - 1, 0, 1, 1), size=1)("n", ("x",))
    tall = np.ones((3, rows, 1, 2), np.int8)
    graph = Graph([Input("x", (), (rows + 3, 2, 2), pixels=True), replace(layer, shape=tall.shape, weight=tall)])
    assert fails(tmp_path, PackedModel(graph, DataInfo()), Settings(word_bits=bits)) == 0


def test_names_that_differ_in_case_have_headers_of_their_own(tmp_path):
    small, large = (generate(model(X, FLAT), Settings(name)).header for name in ("net", "Net"))
    assert small.splitlines()[0] != large.splitlines()[0]


def test_names_look_like_no_address(tmp_path):
    names = ["@0@", "@1@"]
    made = model(X, g.Scale("@0@", ("x",), np.float32([2])), g.Flatten("f", ("@0@",)), class_names=names)
    assert all(f'"{name}"' in generate(made, Settings()).text for name in names)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5.0, 1e-45, -3.4028234663852886e38, 16777216.0])
def test_constants_have_the_bits_of_the_model(value):
    made = model(X, g.Clip("n", ("x",), min(value, 0.0), max(value, 0.0)))
    call = next(line for line in generate(made, Settings()).text.splitlines() if "    bn_clip(" in line)
    ends = [np.float32(word.strip(" f);")) for word in call.split(",")[-2:]]
    assert ends == [np.float32(min(value, 0.0)), np.float32(max(value, 0.0))]


@pytest.mark.parametrize("stem", ['a"b', "a\\b", "a??b", "a\nb"])
def test_names_of_files_that_c_cannot_include(tmp_path, stem):
    with pytest.raises(ConversionError, match="cannot have quotes, backslashes or"):
        write(model(X, FLAT), tmp_path / f"{stem}.c", Settings())
    assert not list(tmp_path.iterdir())


def test_names_of_functions():
    assert [Settings(name).name for name in ("a_", "a__b", "A1")] == ["a_", "a__b", "A1"]
    for name, message in (("1x", "a C identifier"), ("int", "a C identifier"), ("bn_x", "begin with"), ("_x", "begin")):
        with pytest.raises(ConversionError, match=message):
            Settings(name)


def test_a_main_function_needs_the_normalisation():
    with pytest.raises(ConversionError, match="a main function reads pixels"):
        generate(model(X, FLAT), Settings(main=True))
    assert "int main(" in generate(model(X, FLAT, mean=(0.5, 0.5), std=(1.0, 1.0)), Settings(main=True)).text


def test_the_comment_has_the_command_without_folders(say, tmp_path):
    texts = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        model(X, FLAT, mean=(0.5, 0.5), std=(1.0, 1.0)).save(folder / "m.h5")
        code, _, err = say("export", folder / "m.h5", folder / "q.c", "--main", "--word-bits", "32")
        assert (code, err) == (0, "")
        texts.append((folder / "q.c").read_text())
    assert texts[0] == texts[1]
    assert "Made by: binnet export m.h5 q.c --word-bits 32 --main" in texts[0]


def test_each_score_of_a_map_has_a_name(tmp_path):
    pool = g.MaxPool("p", ("x",), (2, 2), (2, 2), (0, 0, 0, 0))
    made = model(Input("x", (), (4, 5, 3)), pool, class_names=["a", "b", "c"], mean=(0.0,) * 3, std=(1.0,) * 3)
    source = generate(made, Settings())
    assert "#define MODEL_CLASSES 12" in source.header
    assert "model_class_names[12] = {" in source.text
    assert fails(tmp_path, made) == 0


@pytest.mark.parametrize("folder", ["m.c", "m.h"])
def test_a_folder_is_no_output(tmp_path, folder):
    (tmp_path / folder).mkdir()
    with pytest.raises(ConversionError, match=f"{folder}: it is a folder"):
        write(model(X, FLAT), tmp_path / "m.c", Settings())
    assert [path.name for path in tmp_path.iterdir()] == [folder]
