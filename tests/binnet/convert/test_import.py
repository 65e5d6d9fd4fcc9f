"""``binnet import``: its options, its table, and the models that it makes; with a Darknet network of one layer."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet import graph as g
from binnet.cli.formats.import_ import _names
from binnet.convert import ConversionError, Options, read
from binnet.convert.builder import Builder, batch_norm, packed_signs, rows_of_map


@pytest.fixture
def source(tmp_path):
    (tmp_path / "net.cfg").write_text(
        "[net]\nheight=2\nwidth=2\nchannels=1\n[connected]\noutput=2\nactivation=linear\n"
    )
    numbers = np.array([0, 0, 1, 1, 1, 1, -1, -1, -1, -1], "<f4")
    (tmp_path / "net.weights").write_bytes(np.array([0, 2, 0, 0, 0], "<i4").tobytes() + numbers.tobytes())
    return tmp_path / "net.weights"


def test_a_table_and_a_model(say, source, tmp_path):
    out = tmp_path / "out.h5"
    code, text, err = say("import", source, out, "--from", "darknet", "--class-names", "dark,bright")
    assert (code, err) == (0, "")
    assert text.splitlines()[1].split() == ["connected0", "connected", "Conv", "(dense),", "2", "outputs"]
    assert "1 layers imported" in text
    model = binnet.load(out)
    assert model.info.class_names == ("dark", "bright")
    assert model.info.provenance == {"imported_from": "net.weights", "format": "Darknet"}
    Image.fromarray(np.full((2, 2), 255, np.uint8)).save(tmp_path / "white.png")
    code, text, _ = say("predict", out, tmp_path / "white.png")
    assert (code, "dark" in text) == (0, True)
    assert say("summary", out)[0] == say("inspect", out)[0] == 0


def test_json_and_names_from_a_file(say, source, tmp_path):
    (tmp_path / "names.txt").write_text("a b\nc\n")
    given = ("--class-names", tmp_path / "names.txt", "--json")
    code, text, _ = say("import", source, tmp_path / "out.h5", "--from", "darknet", *given)
    assert code == 0
    assert json.loads(text)["rows"][0]["name"] == "connected0"
    assert binnet.load(tmp_path / "out.h5").info.class_names == ("a b", "c")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--input-shape", "1,2"), "--input-shape: expected rows, columns and channels such as 28,28,1, got '1,2'"),
        (("--mean", "a"), "--mean: expected numbers with commas between them, got 'a'"),
        (("--mean", "0,0", "--std", "1,1"), "mean and std must be one number or 1"),
        (("--mean", "0"), "mean and std must be one number each for each channel"),
        (("--class-names", "one"), "class_names must be 2 names"),
        (("--mapping", "xnor-nin"), "mapping is for pytorch only, and not for darknet"),
    ],
)
def test_wrong_options_give_one_sentence(say, source, tmp_path, options, message):
    try:
        code, _, err = say("import", source, tmp_path / "out.h5", "--from", "darknet", *options)
    except SystemExit as stop:
        code, err = stop.code, ""
    assert code in (1, 2)
    assert message in err or not err
    assert not (tmp_path / "out.h5").exists()


def test_the_source_is_not_overwritten(say, source):
    before = source.read_bytes()
    code, _, err = say("import", source, source.parent / "." / source.name, "--from", "darknet")
    assert (code, source.read_bytes()) == (1, before)
    assert "is the file to import itself; choose another name" in err


def test_a_pipe_is_refused_and_not_opened(say, source, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for given in ((tmp_path / "pipe",), (source, "--structure", tmp_path / "pipe")):
        code, _, err = say("import", given[0], tmp_path / "out.h5", "--from", "darknet", *given[1:])
        assert (code, "pipe is a pipe or a device, expected a file" in err) == (1, True)
    source.with_suffix(".cfg").unlink()
    os.mkfifo(source.with_suffix(".cfg"))
    code, _, err = say("import", source, tmp_path / "out.h5", "--from", "darknet")
    assert (code, "net.cfg is a pipe or a device, expected a file" in err) == (1, True)


def test_an_unknown_format():
    with pytest.raises(ConversionError, match="there is no format 'caffe' to import; there are: bmxnet"):
        read("model", "caffe")


# ---------------------------------------------------------------------------------------------- the builder


def test_names_are_made_valid_and_unique():
    builder = Builder((2, 2, 1))
    names = [builder.add(g.Relu, word) for word in ("a/b", "a.b", "a\nb", "", "/")]
    assert names == ["a.b", "a.b_2", "a.b_3", "node", "node_2"]
    assert len(builder.graph()) == 6


def test_what_does_not_fit_is_refused():
    builder = Builder((2, 2, 3))
    with pytest.raises(ConversionError, match="expects 4 channels"):
        builder.add(g.PRelu, "p", slope=np.ones(4, np.float32))
    with pytest.raises(ConversionError, match="3 whole numbers"):
        Builder((0, 2, 3))


def test_a_normalisation_has_the_formula_of_training():
    rng = np.random.default_rng(0)
    mean, gamma, beta = rng.standard_normal((3, 5))
    variance, x = rng.uniform(0.5, 2, 5), rng.standard_normal((4, 5)).astype(np.float32)
    node = g.BatchNorm("n", ("i",), **batch_norm(mean, variance, gamma, beta, 0.25))
    np.testing.assert_allclose(node.compute(x), (x - mean) / np.sqrt(variance + 0.25) * gamma + beta, rtol=1e-5)
    with pytest.raises(ConversionError, match="a variance of a normalisation is not above 0"):
        batch_norm(mean, -variance, None, None, 0.25)
    with pytest.raises(ConversionError, match="must have one length"):
        batch_norm(mean, variance[:4], None, None, 0.25)


def test_signs_and_rows():
    negative = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    node = g.XnorConv("x", ("i",), (3, 35), (1, 1), (0, 0, 0, 0), packed_signs(negative), None)
    np.testing.assert_array_equal(node.weight_sign, np.where(negative, -1, 1).reshape(3, 35))
    x, weight = (
        np.random.default_rng(1).standard_normal((2, 4, 3, 2)),
        np.random.default_rng(2).standard_normal((5, 24)),
    )
    by_row = rows_of_map(weight, (4, 3, 2))
    np.testing.assert_allclose(x.reshape(2, -1) @ by_row.T, x.transpose(0, 3, 1, 2).reshape(2, -1) @ weight.T)
    with pytest.raises(ConversionError, match="does not fit a map of 4x3x3"):
        rows_of_map(weight, (4, 3, 3))


def test_options_describe_the_data():
    info = Options(mean=(0.5,), std=(1.0,), class_names=("a",)).info("m.h5", "Larq")
    assert (info.mean, info.std, info.class_names) == ((0.5,), (1.0,), ("a",))


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_names_from_a_file_of_any_editor(tmp_path, code):
    (tmp_path / "names.txt").write_text("Käfer\nc\n", code)
    assert _names(str(tmp_path / "names.txt")) == ("Käfer", "c")


def test_a_long_list_of_names_is_no_path():
    names = tuple(f"class {i}" for i in range(1000))
    assert _names(",".join(names)) == names
