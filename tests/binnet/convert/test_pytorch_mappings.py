"""Mappings and state dicts that do not fit, outer dicts, and changed files: each is one sentence."""

import random
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
import pytest

import binnet
from binnet.convert import ConversionError, Options, read
from binnet.convert.pytorch.mapping import names
from torch_files import View, imported, legacy, norm_state, safetensors, zipped


@pytest.fixture
def run(tmp_path):
    """Import a state dict by a mapping given as text, and run images through it, see :func:`torch_files.imported`."""
    return partial(imported, tmp_path)


def test_shipped_mappings_are_read():
    assert {"xnor-packed-lenet", "xnor-lenet", "xnor-nin", "xnor-alexnet", "reactnet-a", "reactnet-18"} <= set(names())


CONV = {"c.weight": np.ones((2, 1, 3, 3), np.float32)}
ONE = 'layers = [{ kind = "conv", prefix = "c" }]'
WRONG = [
    ("layers = [", "not TOML"),
    ("a = " + "[" * 5000, "not TOML"),
    ("about = 'nothing'", "no layers"),
    ("layers = 3", "list of layers"),
    ("layers = [3]", "list of layers"),
    ("layer = []\n" + ONE, "unknown entry 'layer'"),
    ("epsilon = 'x'\n" + ONE, "epsilon must be a number"),
    ("epsilon = nan\n" + ONE, "epsilon must be a number"),
    ("mean = 0.5\n" + ONE, "mean must be a list"),
    ("mean = [0.5, 0.5]\nstd = [1, 1]\n" + ONE, "mean"),
    ("input_shape = [1, 2]\n" + ONE, "input_shape must be"),
    ("any_size = 1\n" + ONE, "any_size must be"),
    ("blocks = []\n" + ONE, "blocks must be"),
    ("blocks.conv = [{ kind = 'relu' }]\n" + ONE, "name of a kind"),
    ('layers = [{ kind = "convolution" }]', "no kind of layer 'convolution'"),
    ('layers = [{ kind = "conv" }]', "no tensor 'weight'"),
    ('layers = [{ kind = "conv", prefix = "d" }]', "no tensor 'd.weight'; similar names: c.weight"),
    ('layers = [{ kind = "conv", prefix = 3 }]', "prefix must be"),
    ('layers = [{ kind = "conv", prefix = [] }]', "prefix must be"),
    ('layers = [{ kind = "conv", prefix = "c", dilation = 2 }]', "unknown option 'dilation'; there are: stride"),
    ('layers = [{ kind = "conv", prefix = "c", stride = "two" }]', "stride must be a whole number"),
    ('layers = [{ kind = "conv", prefix = "c", stride = true }]', "stride must be a whole number"),
    ('layers = [{ kind = "conv", prefix = "c", stride = -1 }]', "stride must be a whole number"),
    ('layers = [{ kind = "conv", prefix = "c", stride = 0 }]', "stride must be"),
    ('layers = [{ kind = "conv", prefix = "c", groups = "x" }]', "groups must divide"),
    ('layers = [{ kind = "conv", prefix = "c", padding = [1, 2, 3] }]', "padding must be"),
    ('layers = [{ kind = "xnor_conv", prefix = "c", pad_value = 2 }]', "pad_value must be one of"),
    ('layers = [{ kind = "xnor_conv", prefix = "c", packed = 1 }]', "packed must be one of"),
    ('layers = [{ kind = "xnor_conv", prefix = "c", packed = true }]', "packed weights are float32|no tensor"),
    ('layers = [{ kind = "xnor_conv", prefix = "c", alpha = "beta" }]', "no tensor 'c.beta'"),
    ('layers = [{ kind = "xnor_conv", prefix = "c", kernel = 5 }]', "instead of"),
    ('layers = [{ kind = "xnor_conv", prefix = "c", zero = -1, use_k = true }]', "cannot be combined"),
    ('layers = [{ kind = "xnor_linear", prefix = "c" }]', "needs features"),
    ('layers = [{ kind = "linear", prefix = "c" }]', "instead of 2 axes"),
    ('layers = [{ kind = "max_pool" }]', "option 'size' is missing"),
    ('layers = [{ kind = "max_pool", size = 0 }]', "kernel_size must be"),
    ('layers = [{ kind = "max_pool", size = 9 }]', "smaller than the window"),
    ('layers = [{ kind = "softmax" }]', "after flatten"),
    ('layers = [{ kind = "add" }]', "adds two layers"),
    ('layers = [{ kind = "add", from = ["input", "x"] }]', "from names 'x'; here are: input, previous"),
    ('layers = [{ kind = "relu", from = [] }]', "from names no layer"),
    ('layers = [{ kind = "relu", from = ["input", "input"] }]', "reads one layer"),
    ('layers = [{ kind = "relu", name = "input" }]', "is taken"),
    ('layers = [{ kind = "relu" }]', "no layer uses the tensors c.weight"),
    ('layers = [{ kind = "again" }]\nblocks.again = [{ kind = "again" }]', "in a circle"),
    ('layers = [{ kind = "b", x = 1 }]\nblocks.b = [{ kind = "relu" }]', "block 'b' has no option 'x'"),
    ('layers = [{ kind = "conv", prefix = "c", name = "x" }, { kind = "relu", from = "input" }]', "nothing reads"),
]


@pytest.mark.parametrize(("mapping", "said"), WRONG)
def test_wrong_mappings(run, mapping, said):
    with pytest.raises(ConversionError, match=said) as caught:
        run(CONV, mapping, np.zeros((1, 1, 6, 6)))
    assert "\n" not in str(caught.value)


def test_unusable_tensors_are_refused(run, rng):
    x = np.zeros((1, 1, 6, 6))
    for bad in (np.nan, np.inf):
        with pytest.raises(ConversionError, match="not finite"):
            run({"c.weight": np.full((2, 1, 3, 3), bad, np.float32)}, ONE, x)
    with pytest.raises(ConversionError, match="float32 cannot hold"):
        run({"c.weight": np.full((2, 1, 3, 3), 1e300)}, ONE, x)
    with pytest.raises(ConversionError, match="int64"):
        run({"c.weight": np.ones((2, 1, 3, 3), np.int64)}, ONE, x)
    with pytest.raises(ConversionError, match="bias has 3 numbers"):
        run(CONV | {"c.bias": np.ones(3, np.float32)}, ONE, x)
    norm = norm_state(rng, "n", 1) | {"n.running_var": np.float32([-1])}
    with pytest.raises(ConversionError, match="variance"):
        run(norm, 'layers = [{ kind = "batch_norm", prefix = "n" }]', x)


def test_packed_words_of_a_wrong_number_or_with_bits_behind_them(run):
    mapping = 'layers = [{ kind = "xnor_conv", prefix = "c", packed = true, kernel = 3 }]'
    alpha = {"c.alpha": np.ones((2, 1, 1, 1), np.float32)}
    with pytest.raises(ConversionError, match="instead of int32"):
        run({"c.weight": np.ones((2, 2), np.int32)} | alpha, mapping, np.zeros((1, 1, 6, 6)))
    with pytest.raises(ConversionError, match="behind the 9 weights"):
        run({"c.weight": np.full((2, 1), 1 << 9, np.int32)} | alpha, mapping, np.zeros((1, 1, 6, 6)))


def test_outer_dicts_and_names(tmp_path):
    def load(value, mapping=ONE):
        (tmp_path / "net.pt").write_bytes(zipped(value))
        (tmp_path / "net.toml").write_text("input_shape = [6, 6, 1]\n" + mapping)
        return read(tmp_path / "net.pt", "pytorch", Options(mapping=str(tmp_path / "net.toml")))

    parallel = {f"module.{name}": array for name, array in CONV.items()}
    training = {"epoch": 3, "best": np.float32(0.5), "optimizer": {"state": {0: {"step": 1}}, "param_groups": [{}]}}
    found = load({"state_dict": parallel, **training})
    assert [name for name, _ in found.report.left_out] == ["epoch", "best", "optimizer"]
    load({"weights": CONV})
    load({"weights": CONV, "ema": CONV}, 'state_dict = "ema"\n' + ONE)
    load(CONV | {"d.weight": np.ones(3, np.float32)}, 'ignore = ["d.*"]\n' + ONE)
    for value, said in [
        ({"weights": CONV, "ema": CONV}, "several state dicts: weights, ema"),
        ({"epoch": 3}, "no dict of tensors"),
        ([1], "does not hold a dict"),
        (CONV | parallel, "without 'module'"),
        (CONV | {"\x1b[31m": np.ones(3, np.float32)}, "no layer uses the tensors .*31m"),
    ]:
        with pytest.raises(ConversionError, match=said) as caught:
            load(value)
        assert str(caught.value).isprintable()


def test_without_a_mapping_or_a_size(tmp_path, say):
    (tmp_path / "net.pt").write_bytes(zipped(CONV))
    command = ["import", str(tmp_path / "net.pt"), str(tmp_path / "net.h5"), "--from", "pytorch"]
    for more, said in [
        ([], "xnor-packed-lenet"),
        (["--mapping", "nothing"], "no mapping and no file nothing"),
        (["--mapping", str(tmp_path / "net.pt")], "net.pt"),
    ]:
        code, _, error = say(*command, *more)
        assert code != 0
        assert said in error
        assert "Traceback" not in error
    (tmp_path / "net.toml").write_text(ONE)
    code, _, error = say(*command, "--mapping", str(tmp_path / "net.toml"))
    assert code != 0
    assert "--input-shape" in error
    assert not (tmp_path / "net.h5").exists()


def test_zero_weights_are_reported(tmp_path):
    (tmp_path / "net.pt").write_bytes(zipped({"c.weight": np.zeros((2, 1, 3, 3), np.float32)}))
    (tmp_path / "net.toml").write_text('input_shape = [6, 6, 1]\nlayers = [{ kind = "xnor_conv", prefix = "c" }]')
    found = read(tmp_path / "net.pt", "pytorch", Options(mapping=str(tmp_path / "net.toml")))
    assert found.report.rows[0].note == "18 weights are 0, they became +1"


def changed(whole, seed):
    """A file with some bytes flipped, cut, replaced by instructions, or repeated elsewhere."""
    data = bytearray(whole)
    for _ in range(seed.choice((1, 1, 2, 5))):
        at, change = seed.randrange(len(data)), seed.randrange(4)
        if change == 0:
            data[at] ^= 1 << seed.randrange(8)
        elif change == 1:
            data[at : at + seed.randrange(1, 9)] = b""
        elif change == 2:
            data[at] = seed.choice(b".(tRQbc}]usaeXJK\x80\x8a\x8b\x94\x93\x00\xff")
        else:
            data[at:at] = data[seed.randrange(len(data)) :][: seed.randrange(1, 20)]
    return data


@contextmanager
def recorded(said):
    """Append the sentence of an error to a list."""
    try:
        yield
    except ConversionError as error:
        said.append(str(error))
        raise


@pytest.mark.slow
@pytest.mark.parametrize("write", [zipped, legacy, safetensors])
def test_changed_files_are_read_or_refused(tmp_path, write):
    """Flip, cut and replace bytes: a model or one sentence comes of it, nothing else."""
    rng, seed = np.random.default_rng(3), random.Random(5)
    state = {"c.weight": np.float32(rng.normal(size=(2, 1, 3, 3))), **norm_state(rng, "n", 2)}
    state = {name: array for name, array in state.items() if array.ndim} | {"v.bias": np.ones(2, np.float32)}
    if write is not safetensors:
        state["v.bias"] = View(np.ones(5, np.float32), 1, (2,), (3,))
    (tmp_path / "net.toml").write_text("""
        input_shape = [6, 6, 1]
        layers = [
          { kind = "xnor_conv", prefix = "c" }, { kind = "batch_norm", prefix = "n" }, { kind = "shift", prefix = "v" },
        ]
    """)
    whole, options = write(state), Options(mapping=str(tmp_path / "net.toml"))
    said = []
    for _ in range(1500):
        (tmp_path / "net.pt").write_bytes(changed(whole, seed))
        with suppress(ConversionError), recorded(said):
            read(tmp_path / "net.pt", "pytorch", options)
    assert len(said) > 500
    assert not [sentence for sentence in said if "\n" in sentence or len(sentence) > 600]
    (tmp_path / "net.pt").write_bytes(whole)
    assert isinstance(read(tmp_path / "net.pt", "pytorch", options).model, binnet.PackedModel)
