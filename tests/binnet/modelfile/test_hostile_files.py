"""Model files as accidents and strangers leave them: refused in one sentence, or read with the same predictions."""

import functools
import itertools
import json

import numpy as np
import pytest

import binnet
from binnet import models, optim
from binnet.evaluation.evaluate import open_model
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.modelfile.info import DataInfo
from binnet.train.config import TrainConfig
from binnet.train.diagnostics import signs
from binnet.train.output.checkpoint import save as save_checkpoint
from binnet.train.output.state import Progress, State

FILES = 1200  # damaged ones of each kind
FIRST = 4096  # bytes in which half of the damage is: index and structure


def flip(data, place, other, length, rng):
    for step in range(int(rng.integers(1, 9))):
        data[(place + step * length) % len(data)] ^= 1 << int(rng.integers(8))


def overwrite(data, place, other, length, rng):
    data[place : place + length] = rng.bytes(len(data[place : place + length]))


def zero(data, place, other, length, rng):
    data[place : place + length] = bytes(len(data[place : place + length]))


def truncate(data, place, other, length, rng):
    del data[place:]


def swap(data, place, other, length, rng):
    length = min(length, len(data) - max(place, other), abs(place - other))
    first, second = data[place : place + length], data[other : other + length]
    data[place : place + length], data[other : other + length] = second, first


def cut_out(data, place, other, length, rng):
    del data[place : place + length]


def repeat(data, place, other, length, rng):
    data[place:place] = data[other : other + length]


def digit(data, place, other, length, rng):
    """Another number in the index: a version, length, shape or place."""
    digits = [i for i, byte in enumerate(data[:FIRST]) if byte in b"0123456789"]
    data[digits[place % len(digits)]] = 48 + other % 10


DAMAGE = (flip, overwrite, zero, truncate, swap, cut_out, repeat, digit)


def damaged(content, seed):
    """The contents with damage of one of these kinds, and whether it made any difference."""
    rng = np.random.default_rng(seed)
    data, ends = bytearray(content), (FIRST, len(content))
    place, other = (int(rng.integers(ends[int(rng.integers(2))])) for _ in range(2))
    DAMAGE[seed % len(DAMAGE)](data, place, other, int(rng.integers(1, 600)), rng)
    return bytes(data), data != content


@functools.cache
def network():
    return models.build("lenet5", num_classes=4, in_channels=1, image_size=8).eval()


@pytest.fixture(scope="module", params=["packed", "checkpoint"])
def sound(request, tmp_path_factory):
    """The bytes of a sound file."""
    path, info = tmp_path_factory.mktemp("sound") / "m.h5", DataInfo(provenance={"epoch": 3})
    if request.param == "packed":
        binnet.pack(network(), info).save(path)
    else:
        net = network()
        state = State(net, optim.Adam(net.parameters(), lr=0.1), Progress(), signs(net), net.spec)
        save_checkpoint(path, state, TrainConfig(), info)
    return path.read_bytes()


def test_damage_of_every_kind_anywhere_is_refused_in_one_sentence(sound, tmp_path):
    """Not one damaged file is read, whatever part was hit: nobody predicts with noise."""
    path, count = tmp_path / "m.h5", 0
    for seed in range(FILES):
        content, different = damaged(sound, seed)
        if not different:
            continue
        path.write_bytes(content)
        with pytest.raises(StorageError) as caught:
            container.load(path)
        assert str(path) in str(caught.value), seed
        assert "\n" not in str(caught.value), seed
        assert len(str(caught.value)) < 300 + len(str(path)), seed
        count += 1
    assert count > 0.9 * FILES


def test_truncated_at_every_length_of_the_head_and_many_others(sound, tmp_path):
    path = tmp_path / "m.h5"
    for length in (*range(200), *np.linspace(200, len(sound) - 1, 100).astype(int)):
        path.write_bytes(sound[:length])
        with pytest.raises(
            StorageError, match=r"is damaged|is empty|is not a model file|is neither|has format version"
        ):
            container.load(path)


def test_what_opens_a_file_refuses_it_in_the_same_way(sound, tmp_path):
    """The whole way from a path to a model, for fewer files."""
    path = tmp_path / "m.h5"
    path.write_bytes(sound)
    open_model(path)
    for seed in range(40):
        content, different = damaged(sound, seed)
        path.write_bytes(content)
        if different:
            with pytest.raises(StorageError, match=r"m\.h5"):
                open_model(path)


WRONG = [0, -1, 1 << 70, 1.5, True, None, "eight", [], [8], [8, 8, 8], {}, [0, 8], [-8, 8]]


@pytest.mark.slow
@pytest.mark.parametrize("sound", ["packed"], indirect=True)
@pytest.mark.parametrize("key", ["name", "kind", "inputs", "settings", "arrays"])
def test_nodes_with_the_right_checksum_and_no_sense(key, sound, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(sound)
    kind, arrays, description = container.load(path)
    nodes = description["graph"]
    for number, value in itertools.product(range(len(nodes)), WRONG):
        if value == nodes[number][key] or (value == "eight" and key == "name"):
            continue
        changed = [{**node, key: value} if i == number else node for i, node in enumerate(nodes)]
        container.save(path, kind, arrays, {**description, "graph": changed})
        with pytest.raises(StorageError) as caught:
            open_model(path)
        assert "\n" not in str(caught.value), json.dumps(changed[number])


@pytest.mark.slow
@pytest.mark.parametrize("sound", ["packed"], indirect=True)
def test_settings_with_the_right_checksum_and_no_sense(sound, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(sound)
    kind, arrays, description = container.load(path)
    nodes, messages = description["graph"], []
    for number, node in enumerate(nodes):
        for setting, value in itertools.product(node["settings"], WRONG):
            other = {**node, "settings": {**node["settings"], setting: value}}
            changed = [other if i == number else each for i, each in enumerate(nodes)]
            container.save(path, kind, arrays, {**description, "graph": changed})
            try:
                open_model(path)  # a few are other networks with the same arrays
            except StorageError as error:
                messages.append(str(error))
    assert not any("\n" in message for message in messages)
    assert len(messages) > 0.9 * sum(len(node["settings"]) for node in nodes) * len(WRONG)


@pytest.mark.parametrize("sound", ["checkpoint"], indirect=True)
@pytest.mark.parametrize("field", ["name", "binarize", "num_classes", "in_channels", "image_size", "options"])
def test_descriptions_with_the_right_checksum_and_no_sense(field, sound, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(sound)
    kind, arrays, description = container.load(path)
    for value in WRONG:
        model = {**description["model"], field: value}
        if field == "options" and value in ({}, []):
            continue  # the defaults
        container.save(path, kind, arrays, {**description, "model": model})
        with pytest.raises(StorageError) as caught:
            open_model(path)
        assert "\n" not in str(caught.value), json.dumps(value)
