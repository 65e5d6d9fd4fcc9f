from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binnet_datasets import DataError
from binnet_datasets.named.cifar_pickle import batch_from_pickle, load_plain, names_from_pickle

PLANES = np.random.default_rng(3).integers(0, 256, (2, 3072), np.uint8)


def written_by_python_2() -> bytes:
    """A batch as the published files have it: protocol 2, str is bytes, NumPy 1's names; assembled by hand."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\0K\1\x87R(K\3"
        + text(b"|")
        + b"NNN"
        + 2 * b"J\xff\xff\xff\xff"
        + b"K\0tb"
    )
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
    state = b"(K\1K\2M\x00\x0c\x86" + dtype + b"\x89" + text(PLANES.tobytes()) + b"tb"
    return b"\x80\x02}(" + text(b"data") + empty + state + text(b"labels") + b"](K\6K\1eu."


def check(content: bytes) -> None:
    planes, labels = batch_from_pickle(content, "here")
    assert np.array_equal(planes, PLANES)
    assert labels.tolist() == [6, 1]
    assert labels.dtype == np.int64


def test_published_form() -> None:
    check(written_by_python_2())


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("key", [str, str.encode])
@pytest.mark.parametrize("order", ["C", "F"])
def test_saved_again_by_python_3(protocol: int, key, order: str) -> None:
    check(pickle.dumps({key("data"): PLANES.copy(order), key("labels"): [6, 1]}, protocol))


def test_names() -> None:
    assert names_from_pickle(pickle.dumps({b"label_names": [b"cat", "dog"]}), "here") == ("cat", "dog")
    with pytest.raises(DataError, match="class names"):
        names_from_pickle(pickle.dumps({b"label_names": 3}), "here")


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made by the pickle"
    content = pickle.dumps({b"data": Call(os.mkdir, str(target)), b"labels": []}, protocol)
    pickle.loads(content)  # the attack is real
    assert target.is_dir()
    target.rmdir()
    with pytest.raises(DataError, match=r"here.*neither plain data nor an array"):
        batch_from_pickle(content, "here")
    assert not target.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cnumpy\nload\n(Vfile\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__new__\x93.",
        b"cnumpy\nndarray\n(tR.",  # NumPy's class itself is only a name
        b"cnumpy\ndtype\nN}\x86b.",  # state for a function
        b"cnumpy\ndtype\n)\x81.",  # as a class
        b"(I1\nicnumpy\ndtype\n.",
        b"c_codecs\nencode\n(Va\nVrot13\ntR.",
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        b"Pid\n.",  # a persistent id
        b"\x82\x01.",  # an extension
    ],
)
def test_other_ways_in_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="here"):
        load_plain(content, "here")


def test_a_pickle_cannot_change_the_reader() -> None:
    setter = b"cnumpy.core.multiarray\n_reconstruct\n(N}V_call\nK\1stb."
    with pytest.raises(DataError, match="here"):
        load_plain(setter, "here")
    check(written_by_python_2())


def test_huge_memo_index_costs_nothing() -> None:
    content = b"\x80\x02K\1r" + struct.pack("<I", 0xFFFFFFF0) + b"."
    assert load_plain(content, "here") == 1


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([], "dict with the key 'data'"),
        ({b"labels": [1]}, "dict with the key 'data'"),
        ({b"data": PLANES}, "dict with the key 'labels'"),
        ({b"data": [1], b"labels": [1]}, "an array in here, but got list"),
        ({b"data": PLANES.astype(np.float32), b"labels": [1, 2]}, "here"),
        ({b"data": PLANES.view(np.int8), b"labels": [1, 2]}, "uint8"),
        ({b"data": PLANES.astype(object), b"labels": [1, 2]}, "uint8"),
        ({b"data": PLANES[:, :-1], b"labels": [1, 2]}, r"\(N, 3072\)"),
        ({b"data": PLANES[:0], b"labels": []}, r"\(N, 3072\)"),
        ({b"data": PLANES, b"labels": [1]}, "expected 2 labels .* got 1"),
        ({b"data": PLANES, b"labels": [1, 2.5]}, "whole numbers"),
        ({b"data": PLANES, b"labels": [1, 1 << 70]}, "whole numbers"),
        ({b"data": PLANES, b"labels": b"ab"}, "whole numbers"),
    ],
)
def test_plain_data_of_another_form_is_refused(batch: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        batch_from_pickle(pickle.dumps(batch, 2), "here")


def test_shape_that_promises_more_than_there_is() -> None:
    content = written_by_python_2().replace(b"K\2M\x00\x0c\x86", b"J\xff\xff\xff\x7fM\x00\x0c\x86")
    with pytest.raises(DataError, match=f"but got {PLANES.size}"):
        batch_from_pickle(content, "here")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_a_data_error_or_no_matter(data: st.DataObject) -> None:
    content = bytearray(written_by_python_2())
    frame = [place for place in range(len(content)) if place < 250 or place > len(content) - 40]
    for place in data.draw(st.lists(st.sampled_from(frame), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        planes, labels = batch_from_pickle(bytes(content), "here")
    except DataError:
        return
    assert planes.shape == (len(labels), 3072)


def test_every_truncation_is_refused() -> None:
    content = written_by_python_2()
    for length in [*range(250), *range(len(content) - 40, len(content))]:
        with pytest.raises(DataError, match="here"):
            batch_from_pickle(content[:length], "here")


def test_shape_that_is_none() -> None:
    content = written_by_python_2().replace(b"K\2M\x00\x0c\x86", b"NM\x00\x0c\x86")
    with pytest.raises(DataError, match=r"with a shape in here, but got \(None, 3072\)"):
        batch_from_pickle(content, "here")
