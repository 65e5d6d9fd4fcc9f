"""Exported C against the engine: random modules, every kind of node, eight bits, compilers, and what is written."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import binnet
import binnet_datasets
from binnet import graph as g
from binnet.convert import ConversionError
from binnet.convert.c import Settings, generate, write
from binnet.engine import PackedModel
from binnet.graph import Graph, Input
from binnet.modelfile.info import DataInfo
from c_programs import NATIVE, STRICT, compiled, need, sources
from eight_bits import in_eight_bits, network, pixels
from random_modules import modules

WORDS = [Settings(), Settings(word_bits=32)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    need("cc")
    return tmp_path_factory.mktemp("c")


def known(model):
    """The model with a normalisation, so that its program takes pixels."""
    c = model.in_channels
    info = DataInfo(class_names=[f"class {i}" for i in range(model.num_classes)], mean=[0.4] * c, std=[0.3] * c)
    return PackedModel(model.graph, info)


def same(model, folder, images, bound=0.0, **how):
    predict, selftest = compiled(model, folder, **how)
    expected, found = model(images), predict(images)
    if bound:
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound * np.abs(expected).max())
    else:
        np.testing.assert_array_equal(found, expected)
    assert selftest() == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=8)
@given(modules(), st.integers(0, 2**32 - 1), st.sampled_from(WORDS))
def test_random_modules_give_the_scores_of_the_engine(folder, drawn, seed, how):
    net, shape = drawn
    model = binnet.pack(net, input_shape=shape)
    images = np.random.default_rng(seed).standard_normal((2, *shape), np.float32)
    # Means are added in another order, so the last bits may differ.
    same(model, folder, images, bound=1e-5, settings=how)


@pytest.mark.slow
@settings(max_examples=8)
@given(modules(exact=True), st.integers(0, 2**32 - 1), st.sampled_from(WORDS), st.booleans())
def test_random_modules_of_whole_numbers_give_the_same_bits(folder, drawn, seed, how, eight_bits):
    net, shape = drawn
    rng = np.random.default_rng(seed)
    model = binnet.pack(net, input_shape=shape)
    images = rng.integers(-2, 3, (2, *shape)).astype(np.float32)
    if eight_bits:
        graph = in_eight_bits(model.graph, rng, exact=True)
        model = PackedModel(graph, DataInfo(mean=[0.4] * shape[2], std=[0.3] * shape[2]))
        images = rng.integers(0, 256, (2, *shape), np.uint8)
    expected = model(images)
    if np.abs(expected).max() < 1 << 20:  # beyond, sums are rounded
        same(model, folder, images, settings=how)


@pytest.mark.slow
@pytest.mark.parametrize("how", WORDS, ids=["64", "32"])
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("lenet5", "float"),
        ("lenet5", "xnor"),
        ("quick", "bwn"),
        ("quick", "xnor"),
        ("resnet18", "xnor"),
        ("nin", "xnor"),
    ],
)
def test_networks_give_the_same_bits(folder, name, mode, how):
    size = 13 if name == "lenet5" else 33  # its dense layer grows with the image, and with it the text to compile
    net = binnet.models.build(name, mode, 5, image_size=size, seed=1)
    model = known(binnet.pack(net))
    bound = 1e-5 if name == "nin" else 0.0  # means over windows
    same(model, folder, pixels((size, size, 3)), bound, settings=how)


@pytest.mark.slow
@pytest.mark.parametrize("how", WORDS, ids=["64", "32"])
@pytest.mark.parametrize("name", ["lenet5", "quick", "resnet18"])
def test_networks_in_eight_bits_give_the_same_bits(folder, name, how):
    model = PackedModel(network(name), DataInfo(mean=(0.4,) * 3, std=(0.3,) * 3))
    same(model, folder, pixels((33, 33, 3), 3), settings=how)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"use_k": True}, {"weight_bits": 2, "act_bits": 2}, {"pad_value": 1}, {"pad_value": -1}]
)
@pytest.mark.parametrize("how", WORDS, ids=["64", "32"])
def test_options_of_binary_layers(folder, options, how):
    net = binnet.models.build("quick", "xnor", 5, image_size=16, seed=1, **options)
    same(known(binnet.pack(net)), folder, pixels((16, 16, 3)), 1e-5, settings=how)


VECTOR = np.float32([2, -1, 0.5])
ELEMENTS = [
    g.Tanh("n", ("x",)),
    g.Sigmoid("n", ("x",)),
    g.Clip("n", ("x",), -0.5, 0.75),
    g.Softmax("n", ("x",)),
    g.PRelu("n", ("x",), VECTOR),
    g.Sign("n", ("x",), VECTOR),
    g.Scale("n", ("x",), VECTOR[:1]),
    g.Quantise("n", ("x",), 3),
    g.QuantiseLinear("n", ("x",), 0.125, 7),
    g.Pad("n", ("x",), (1, 0, 2, 3), -1.5),
    g.AvgPool("n", ("x",), (3, 2), (2, 1), (1, 0, 0, 1)),
    g.MaxPool("n", ("x",), (3, 2), (2, 1), (1, 2, 0, 1)),
    g.Reshape("n", ("x",), (3, 4, 5)),
    g.GlobalAverage("n", ("x",)),
    g.Conv(
        "n", ("x",), (6, 2, 3, 1), (1, 2), (0, 1, 1, 2), np.arange(36, dtype=np.float32).reshape(6, 2, 3, 1), None, 3
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("how", WORDS, ids=["64", "32"])
@pytest.mark.parametrize("node", ELEMENTS, ids=[node.kind for node in ELEMENTS])
def test_a_node_alone(folder, node, how):
    model = PackedModel(Graph((Input("x", (), (5, 4, 3)), node)), DataInfo())
    images = np.random.default_rng(0).standard_normal((3, 5, 4, 3), np.float32)
    same(model, folder, images, 1e-6, settings=how)


@pytest.mark.parametrize("axis", [-1, -2, -3])
def test_several_maps(folder, axis):
    nodes = [
        Input("x", (), (4, 5, 3)),
        g.GlobalAverage("mean", ("x",)),
        g.Reshape("one", ("mean",), (1, 1, 3)),
        g.Constant("c", (), np.random.default_rng(1).uniform(1, 2, (4, 5, 3)).astype(np.float32)),
        g.Divide("d", ("x", "c")),
        g.Multiply("m", ("d", "one")),
        g.Add("a", ("one", "m")),
        g.Add("twice", ("a", "a")),
        g.Concatenate("j", ("twice", "c", "x"), axis),
        g.Flatten("f", ("j",)),
    ]
    images = np.random.default_rng(0).standard_normal((2, 4, 5, 3), np.float32)
    same(PackedModel(Graph(tuple(nodes)), DataInfo()), folder, images, 1e-6)


# ---------------------------------------------------------------------------------------------- compilers


@pytest.fixture(scope="module")
def various():
    """Models whose programs use all parts of the runtime between them, with images."""
    rng = np.random.default_rng(0)
    build = binnet.models.build
    nets = [
        build("lenet5", "xnor", 5, image_size=16, seed=1),
        build("quick", "bwn", 5, image_size=16, seed=1),
        build("quick", "xnor", 5, image_size=16, seed=1, use_k=True, pad_value=1),
        build("quick", "xnor", 5, image_size=16, seed=1, weight_bits=2, act_bits=2),
    ]
    models = [known(binnet.pack(net)) for net in nets]
    graph = in_eight_bits(models[0].graph, rng)
    whole = PackedModel(graph, DataInfo(mean=(0.4,) * 3, std=(0.3,) * 3))
    return [*models, whole], pixels((16, 16, 3))


@pytest.mark.parametrize(
    ("compiler", "flags", "which"),
    [
        ("gcc", (*STRICT, "-O2", "-march=native"), slice(None)),
        ("gcc", ("-std=gnu99", "-O2", "-march=native"), slice(2, 4)),
        ("gcc", (*NATIVE, "-fopenmp"), slice(None)),
        ("clang", (*STRICT, "-O1", "-march=native"), slice(None)),
        ("g++", ("-x", "c++", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-march=native"), slice(2, None)),
        ("clang++", ("-x", "c++", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-march=native"), slice(None)),
    ],
    ids=["gcc", "gcc gnu99", "gcc openmp", "clang", "g++", "clang++"],
)
@pytest.mark.slow
def test_every_compiler_gives_the_same_scores(tmp_path, various, compiler, flags, which):
    models, images = various
    for model in models[which]:
        # K is a mean, whose last bit depends on the order of its terms.
        with_k = any(getattr(node, "use_k", False) for node in model.graph)
        same(model, tmp_path, images, 1e-5 if with_k else 0.0, compiler=compiler, flags=flags)


@pytest.mark.slow
def test_sanitizers_find_nothing(tmp_path, various):
    models, images = various
    for word_bits, some in ((64, models[1:3]), (32, [models[0], *models[3:]])):
        for i, model in enumerate(some):
            source = generate(model, Settings("net", word_bits), f"s{i}")
            path = sources(tmp_path, source, f"s{i}")
            main = f'#include "s{i}.h"\nint main(void) {{ return net_selftest(); }}\n'
            (tmp_path / "main.c").write_text(main)
            flags = ("-std=c99", "-O1", "-g", "-march=native", "-fsanitize=undefined,address", "-fno-sanitize-recover")
            command = [need("gcc"), *flags, str(path), str(tmp_path / "main.c"), "-o", str(tmp_path / "run"), "-lm"]
            if subprocess.run(command, capture_output=True).returncode:
                pytest.skip("this compiler has no sanitizers")
            done = subprocess.run([str(tmp_path / "run")], capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
    assert len(images)


def test_a_changed_weight_fails_the_self_test(tmp_path, various):
    source = generate(various[0][0], Settings(), "m")
    # The weights of the last layer, since thresholds may absorb a change of others.
    first = [match.end() for match in re.finditer(r"static const float a\d+\[\d+\] = \{\n", source.text)][-1]
    flipped = f"{source.text[:first]}1e3f + {source.text[first:]}"
    (tmp_path / "m.h").write_text(source.header)
    (tmp_path / "m.c").write_text(flipped)
    (tmp_path / "main.c").write_text('#include "m.h"\nint main(void) { return m_selftest() != 0; }\n')
    command = [
        need("cc"),
        "-std=c99",
        str(tmp_path / "m.c"),
        str(tmp_path / "main.c"),
        "-o",
        str(tmp_path / "run"),
        "-lm",
    ]
    subprocess.run(command, check=True)
    assert subprocess.run([str(tmp_path / "run")]).returncode == 1


# ---------------------------------------------------------------------------------------------- what is written


def test_the_same_model_gives_the_same_text(various):
    for model in various[0]:
        first, second = (generate(model, Settings(), "m", "binnet export m.h5 m.c") for _ in range(2))
        assert (first.text, first.header) == (second.text, second.header)
    assert "binnet export m.h5 m.c" in first.text


def test_names_cannot_end_a_comment_or_a_string(tmp_path):
    names = ['"', "*/ int x;", "a\\", "??/", "é", "new\nline"]
    weight = np.ones((6, 3), np.float32)
    node = g.Conv("a*", ("x f",), (6, 3), (1, 1), (0, 0, 0, 0), weight)
    graph = Graph((Input("x", (), (1, 1, 3)), g.Flatten("x f", ("x",)), node))
    model = PackedModel(
        graph, DataInfo(class_names=names, mean=(0.0,), std=(1.0,)), built={"name": "*/", "binarize": "/*"}
    )
    source = generate(model, Settings("net"), "m")
    path = sources(tmp_path, source, "m")
    (tmp_path / "main.c").write_text(
        '#include "m.h"\n#include <stdio.h>\nint main(void) {\n'
        'for (int i = 0; i < NET_CLASSES; i++) printf("%s|", net_class_names[i]);\nreturn 0; }\n'
    )
    command = [need("cc"), *STRICT, "-trigraphs", str(path), str(tmp_path / "main.c"), "-o", str(tmp_path / "run")]
    subprocess.run(command, check=True)
    assert subprocess.run([str(tmp_path / "run")], capture_output=True).stdout.decode() == "|".join([*names, ""])


@pytest.mark.parametrize(
    ("stem", "name"),
    [("my net-2", "my_net_2"), ("7seg", "model_7seg"), ("int", "model_int"), ("é", "model"), ("a.b", "a_b")],
)
def test_names_of_files_become_identifiers(tmp_path, various, stem, name):
    written = write(various[0][0], tmp_path / f"{stem}.c", Settings())
    assert written.source.name == name
    assert f'#include "{stem}.h"' in written.source.text
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.c", f"{stem}.h"}


def test_a_kind_of_ones_own_is_refused_by_name():
    @g.kind
    class Cube(g.Node):
        def compute(self, *inputs):
            return inputs[0] ** 3

    try:
        model = PackedModel(Graph((Input("x", (), (2, 2, 1)), Cube("third", ("x",)))), DataInfo())
        with pytest.raises(ConversionError, match="third: nodes of the kind Cube cannot be exported as C"):
            generate(model, Settings())
    finally:
        del g.KINDS["Cube"]


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("m.txt", (), "the name of the output must end in .c, .onnx, .html, got"),
        ("m.html", ("--main",), "--main is for .c files only, got"),
        ("m.c", ("--qonnx",), "--qonnx is for .onnx files only, got"),
        ("m.c", ("--name", "1x"), "the name must be a C identifier, got '1x'"),
        ("m.c", ("--name", "int"), "the name must be a C identifier, got 'int'"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_sentence(say, tmp_path, out, options, message):
    code, text, err = say("export", "quick-tiny20", tmp_path / out, *options)
    assert (code, text) == (1, "")
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("file", "out"), [("m.c", "m.c"), ("m.h", "m.c"), ("m.html", "m.html"), ("m.onnx", "m.onnx")])
def test_the_model_itself_is_not_overwritten(say, tmp_path, file, out):
    binnet.load("quick-tiny20").save(tmp_path / file)
    before = (tmp_path / file).read_bytes()
    code, text, err = say("export", tmp_path / file, tmp_path / out)
    assert (code, text) == (1, "")
    assert f"{file} is the model itself; choose another name" in err
    assert (tmp_path / file).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_the_program_of_the_shipped_model_stays_small(say, tmp_path):
    code, text, err = say("export", "quick-tiny20", tmp_path / "q.c", "--main")
    assert (code, err) == (0, "")
    assert "q.c and q.h: q_predict" in text
    source = generate(binnet.load("quick-tiny20"), Settings(), "q")
    assert source.ram <= 300_000
    command = [need("gcc"), "-std=c99", "-O2", str(tmp_path / "q.c"), "-o", str(tmp_path / "q"), "-lm"]
    subprocess.run(command, check=True)
    image, rng = tmp_path / "x.ppm", np.random.default_rng(0)
    given = rng.integers(0, 256, (64, 64, 3), np.uint8)
    image.write_bytes(b"P6\n# a comment\n64 64\n255\n" + given.tobytes())
    lines = subprocess.run(
        [str(tmp_path / "q"), str(image)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    model = binnet.load("quick-tiny20")
    assert int(lines[0].split()[0]) == model(given[None]).argmax()
    raw = tmp_path / "x.raw"
    raw.write_bytes(given.tobytes())
    again = subprocess.run([str(tmp_path / "q"), str(raw)], capture_output=True, text=True, check=True)
    assert again.stdout.splitlines() == lines
    start_like_a_header = b"P6" + given.tobytes()[2:]
    raw.write_bytes(start_like_a_header)
    assert subprocess.run([str(tmp_path / "q"), str(raw)], capture_output=True).returncode == 0
    for data in (
        b"",
        b"P6\n32 64\n255\n" + given.tobytes(),
        b"P6\n64 64\n255\n",
        given.tobytes() + b"1",
        b"P6\n64 64\n65535\n",
    ):
        raw.write_bytes(data)
        wrong = subprocess.run([str(tmp_path / "q"), str(raw)], capture_output=True, text=True)
        assert (wrong.returncode, wrong.stdout, len(wrong.stderr.splitlines())) == (2, "", 1)


@pytest.mark.slow
def test_sizes_of_object_code(tmp_path):
    """Code and constants, as ``size`` counts them."""
    need("gcc")
    need("size")
    digits = binnet.models.build("lenet5", "xnor", 10, in_channels=1, image_size=8, seed=1)
    pixels = binnet_datasets.load("digits").train.images[:64]
    whole = binnet.pack(digits, real="int8", mean=[0.3], std=[0.38], calibration=pixels)
    small = Settings("m", 32)
    cases = [
        (["gcc", "-O3", "-march=native"], binnet.load("quick-tiny20"), Settings("m"), (450_000, 300_000)),
        (["gcc", "-Os"], whole, small, (36_000, 8_000)),
        (["arm-none-eabi-gcc", "-Os", "-mthumb", "-mcpu=cortex-m4"], whole, small, (32_768, 8_192)),
    ]
    for compiler, model, how, most in cases:
        path = sources(tmp_path, generate(model, how, "m"), "m")
        command = [*compiler, "-std=c99", "-c", str(path), "-o", str(tmp_path / "m.o")]
        if compiler[0] != "gcc" and shutil.which(compiler[0]) is None:
            continue
        subprocess.run(command, check=True)
        counted = subprocess.run(["size", str(tmp_path / "m.o")], capture_output=True, text=True, check=True)
        text, data, bss = map(int, counted.stdout.splitlines()[1].split()[:3])
        assert text + data <= most[0]
        assert bss <= most[1]
