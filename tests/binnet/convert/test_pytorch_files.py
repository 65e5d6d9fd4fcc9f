"""Containers of PyTorch tensors: right values from files written by hand, one sentence for damaged and hostile ones."""

import os
import pickle
import re
import struct
import subprocess
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet.convert import ConversionError
from binnet.convert.pytorch.files import contents
from binnet.convert.pytorch.unpickle import load
from torch_files import View, Writer, legacy, safetensors, zipped

BASE = np.arange(24, dtype=np.float32)


@pytest.fixture
def read(tmp_path):
    """What a file with these bytes holds."""

    def of(data):
        (tmp_path / "file").write_bytes(data)
        return contents(tmp_path / "file")

    return of


@pytest.fixture
def refused(read):
    """The one sentence with which a file is refused."""

    def of(data):
        with pytest.raises(ConversionError) as caught:
            read(data)
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 400
        return message

    return of


VIEWS = {
    "whole": View(BASE, 0, (2, 3, 4), (12, 4, 1)),
    "turned": View(BASE, 0, (4, 3, 2), (1, 4, 12)),
    "part": View(BASE, 5, (2, 2), (12, 2)),
    "number": View(BASE, 23, (), ()),
    "empty": View(BASE, 0, (0, 5), (5, 1)),
}
EXPECTED = {
    "whole": BASE.reshape(2, 3, 4),
    "turned": BASE.reshape(2, 3, 4).transpose(2, 1, 0),
    "part": np.float32([[5, 7], [17, 19]]),
    "number": np.float32(23),
    "empty": np.zeros((0, 5), np.float32),
}


@pytest.mark.parametrize(
    "write", [zipped, lambda value: zipped(value, "big"), legacy], ids=["zip", "big-endian", "legacy"]
)
def test_views_of_one_storage(write, read):
    found = read(write(VIEWS))
    assert list(found) == list(VIEWS)
    for name, tensor in found.items():
        array = tensor.array()
        np.testing.assert_array_equal(array, EXPECTED[name])
        assert array.flags.c_contiguous
        assert array.dtype == np.float32
        assert array.dtype.isnative


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?"])
def test_types(dtype, read):
    array = np.array([[0, 1, 2], [100, 7, 1]]).astype(dtype)
    for data in (zipped({"a": array}), zipped({"a": array}, "big"), legacy({"a": array})):
        np.testing.assert_array_equal(read(data)["a"].array(), array, strict=True)
    if dtype not in ("i2", "i1"):
        np.testing.assert_array_equal(read(safetensors({"a": array}))["a"].array(), array, strict=True)


def test_bfloat16_is_the_upper_half_of_float32(read):
    halves = np.array([0x3F80, 0xC040, 0x7F80, 0x0001], np.uint16)  # 1, -3, infinity, the smallest
    found = read(zipped({"a": View(halves, 0, (4,), (1,), "BFloat16")}))["a"].array()
    np.testing.assert_array_equal(found, np.float32([1, -3, np.inf, 2.0**-133]), strict=True)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner, inner, inner),
)


@pytest.mark.slow
@given(PLAIN, st.integers(2, 5))
def test_plain_values_are_those_of_the_standard_library(value, protocol):
    data = pickle.dumps(value, protocol)
    assert load(b"xyz" + data, 3)[:2] == (value, len(data) + 3)


# --------------------------------------------------------------------------------------------------------- malice


class Malice:
    """Pickles to a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("write", [zipped, legacy], ids=["zip", "legacy"])
@pytest.mark.parametrize("call", ["system", "eval", "exec", "chain", "popen", "open"])
def test_nothing_is_executed(call, write, protocol, refused, tmp_path):
    canary = tmp_path / "canary"
    made = f"open({str(canary)!r}, 'w')"
    evil = {
        "system": Malice(os.system, f"touch {canary}"),
        "eval": Malice(eval, made),
        "exec": Malice(exec, made),
        "chain": Malice(getattr, Malice(eval, made), "x"),
        "popen": Malice(subprocess.Popen, ["touch", str(canary)]),
        "open": Malice(open, str(canary), "w"),
    }[call]
    message = refused(write({}, pickle=pickle.dumps({"weight": evil}, protocol)))
    assert "nothing was executed" in message
    assert not canary.exists()


def test_the_refused_name_is_said(refused):
    assert "'argparse.Namespace'" in refused(zipped({}, pickle=b"\x80\x02cargparse\nNamespace\n)\x81."))
    # A name of the list with another module, an attribute of it, and control characters.
    for name in (b"torch\nOrderedDict", b"collections\nOrderedDict.fromkeys", b"torch\x1b[31m\n_utils._rebuild_tensor"):
        message = refused(zipped({}, pickle=b"\x80\x02c" + name + b"\n)R."))
        assert "is not a tensor" in message
        assert message.isprintable()


M = b"\x80\x02"
TENSOR = Writer().tensor(View(BASE, 0, (2,), (1,)))
PICKLES = {
    "empty": b"",
    "no end": M + b"N",
    "cut string": M + b"X\xff\xff\xff\xff" + b"a.",
    "cut long string": M + b"\x8d" + b"\xff" * 8 + b"a.",
    "cut bytes": M + b"B\xff\xff\xff\x7fa.",
    "huge whole number": M + b"\x8b\x00\x00\x00\x40" + b"a.",
    "negative length": M + b"\x8b\xff\xff\xff\xff.",
    "long number": M + b"\x8a\xff" + b"\x01" * 255 + b".",
    "no text": M + b"X\x02\x00\x00\x00\xff\xfe.",
    "name without end": M + b"ctorch" + b"a" * 5000,
    "nothing to stop with": M + b".",
    "tuple of nothing": M + b"\x87.",
    "tuple without mark": M + b"t.",
    "below the mark": M + b"N(0.",
    "pop through the mark": M + b"NN(\x86.",
    "unknown memo": M + b"h\x05.",
    "huge memo": M + b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff.",
    "odd items": M + b"}(Nu.",
    "key twice": M + b"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.",
    "unhashable key": M + b"}]Ns.",
    "key of 80 bits": M + b"}\x8a\x0a" + b"\x01" * 10 + b"Ns.",
    "items of a list": M + b"](NNu.",
    "append to a dict": M + b"}Na.",
    "call of a string": M + b"X\x01\x00\x00\x00a)R.",
    "call with too many arguments": M + b"ccollections\nOrderedDict\n(NNNNNNtR.",
    "call without a tuple": M + b"ccollections\nOrderedDict\nNR.",
    "call of a storage": M + b"ctorch\nFloatStorage\n)R.",
    "tensor of nothing": M + b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "parameter of nothing": M + b"ctorch._utils\n_rebuild_parameter\n)R.",
    "state of a list": M + b"]}b.",
    "state of a tensor": M + TENSOR + b"}b.",
    "protocol": b"\x80\x09N.",
    "frame": b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
    "instance": M + b"(ios\nsystem\n.",
    "object": M + b"(cos\nsystem\no.",
    "new object": M + b"ccollections\nOrderedDict\n)\x81.",
    "extension": M + b"\x82\x01.",
    "persistent text": M + b"Pstorage\n.",
    "identity of nothing": M + b"NQ.",
    "identity without a type": M + Writer().code(("storage", "FloatStorage", "1", "cpu", 3)) + b"Q.",
    "stack name of a number": M + b"K\x01K\x02\x93.",
    "pairs of nothing": M + b"ccollections\nOrderedDict\n(](Neet" + b"R.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_damaged_pickles(name, refused):
    refused(zipped({}, pickle=PICKLES[name]))
    refused(legacy({}, pickle=PICKLES[name]))


@pytest.mark.slow
def test_deep_and_recursive_values_do_no_harm(refused):
    deep = 200_000
    for data in (b")" + b"\x85" * deep, b"]" * deep + b"a" * (deep - 1), b"]q\x00h\x00a"):
        refused(zipped({}, pickle=M + b"(" + data + b"}b."))
        assert load(M + data + b".")[1] == len(data) + 3


def test_references_take_no_memory():
    # Each tuple refers twice to the one before: 2^1000 leaves, 1000 tuples.
    data = M + b")q\x00" + b"h\x00h\x00\x86q\x00" * 1000 + b"."
    assert load(data)[1] == len(data)


def test_too_many_instructions_are_refused(monkeypatch):
    monkeypatch.setattr("binnet.convert.pytorch.unpickle.MOST_INSTRUCTIONS", 100)
    with pytest.raises(ConversionError, match="instructions"):
        load(M + b"N" * 200 + b".")


@pytest.mark.parametrize(
    "view",
    [
        View(BASE, 0, (25,), (1,)),
        View(BASE, 1, (24,), (1,)),
        View(BASE, 0, (2, 3), (22, 1)),
        View(BASE, -1, (2,), (1,)),
        View(BASE, 0, (-2,), (1,)),
        View(BASE, 0, (2,), (-1,)),
        View(BASE, 0, (2, 3), (1,)),
        View(BASE, 0, (1 << 40,), (0,)),
        View(BASE, 0, (1 << 62, 1 << 62), (1, 1)),
        View(BASE, 0, (30, 2), (0, 0)),
        View(BASE, 0, (1,) * 20, (1,) * 20),
        View(BASE, 2.0, (1,), (1,)),
        View(BASE, 0, (True,), (1,)),
        View(BASE, 0, [2], (1,)),
    ],
)
def test_tensors_outside_their_storage(view, refused):
    writer = Writer()
    code = writer.tensor(View(BASE, 0, (1,), (1,)))
    start = code.index(b"tQ") + 2
    fields = Writer().code(view.offset) + Writer().code(view.size) + Writer().code(view.stride)
    code = code[:start] + fields + b"\x89}tR"
    refused(zipped({"a": BASE}, pickle=M + b"}X\x01\x00\x00\x00a" + code + b"s."))


def test_storages_that_do_not_fit(refused, read):
    whole = zipped({"a": BASE})
    assert read(whole)["a"].array().shape == (24,)
    # A name that is twice there with two lengths or types.
    other = View(BASE, 0, (1,), (1,), "Int")
    assert "in two ways" in refused(zipped({"a": View(BASE, 0, (1,), (1,)), "b": other}))
    assert "no storage" in refused(zipped({}, pickle=Writer().pickled({"a": BASE})))
    short = zipped({}, pickle=Writer().pickled({"a": BASE}), extra=[("net/data/0", b"1234")])
    assert "4 bytes instead of 96" in refused(short)
    old = legacy({"a": BASE})
    assert "cut off" in refused(old[:-100])
    assert refused(old[:-1])
    assert "follow" in refused(old + b"x")


# ----------------------------------------------------------------------------------------------------- zip archives


def test_zip_archives_that_torch_does_not_write(refused):
    assert "compressed" in refused(zipped({"a": np.zeros(100_000, np.float32)}, compression=zipfile.ZIP_DEFLATED))
    for name in ("net/../x", "/net/x", "net/a\\b", "x"):
        assert "path" in refused(zipped({}, extra=[(name, b"")]))
    assert "data.pkl" in refused(zipped({}, extra=[("other/x", b"")]))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped({}, extra=[("net/version", b"")])
    assert "twice" in refused(twice)
    assert "TorchScript" in refused(zipped({}, extra=[("net/constants.pkl", b"")]))
    assert "byte order" in refused(zipped({}, order="middle"))
    whole = zipped({"a": BASE})
    assert "damaged" in refused(whole[:-30])
    assert "damaged" in refused(whole.replace(BASE.tobytes(), BASE.tobytes()[::-1]))  # the checksum
    flags = bytearray(whole)
    at = whole.index(b"PK\x01\x02") + 8
    flags[at] |= 1
    assert "encrypted" in refused(bytes(flags))


def test_other_files(refused, tmp_path):
    for data in (
        b"",
        b"\x80",
        b"PK\x03\x04",
        b"hello" * 100,
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        pickle.dumps({"a": 1}),
    ):
        refused(data)
    with pytest.raises(ConversionError, match="cannot be read"):
        contents(tmp_path / "absent")
    with pytest.raises(ConversionError, match="cannot be read"):
        contents(tmp_path)


# ------------------------------------------------------------------------------------------------------ safetensors


def changed(**fields):
    return lambda header: {name: each | fields if name == "b" else each for name, each in header.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(data_offsets=[4, 12]), "overlap"),
        (changed(data_offsets=[12, 20]), "outside|hole"),
        (changed(data_offsets=[16, 8]), "outside"),
        (changed(data_offsets=[8, 12]), "bytes instead"),
        (changed(data_offsets=[8.0, 16.0]), "not valid"),
        (changed(shape=[-2]), "not valid"),
        (changed(shape=[1 << 70]), "not valid"),
        (changed(shape=[1 << 39] * 8), "elements"),
        (changed(shape=[1] * 9), "not valid"),
        (changed(shape=[True, 2]), "not valid"),
        (changed(dtype="F8_E4M3"), "F8_E4M3"),
        (changed(dtype=[]), "type"),
        (changed(more=1), "alone"),
        (lambda header: [1], "neither"),
        (lambda header: {"a": header["a"]}, "end at byte"),
        (lambda header: header | {"c": 1}, "alone"),
    ],
)
def test_safetensors_that_break_the_format(change, said, refused):
    assert re.search(said, refused(safetensors({"a": BASE[:2], "b": BASE[2:4]}, change)))


def test_safetensors_headers(refused, read):
    whole = safetensors({"a": BASE})
    np.testing.assert_array_equal(read(whole)["a"].array(), BASE)
    assert "header" in refused(struct.pack("<Q", 1 << 60) + whole[8:])
    assert "header" in refused(struct.pack("<Q", 5) + whole[8:])
    texts = b'{"a":' * 100_000, b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": ' + b"1" * 10_000 + b"}", b'{"\xff": 1}'
    for text in texts:
        assert "its header" in refused(struct.pack("<Q", len(text)) + text)
    assert "end at byte" in refused(whole + b"x")
