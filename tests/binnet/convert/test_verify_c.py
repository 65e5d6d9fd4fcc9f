"""``binnet verify FILE --c``: programs that agree, programs that do not, and commands that cannot work."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import binnet
import binnet_datasets
from binnet.convert.c import check
from binnet.engine import PackedModel
from binnet.graph import Graph
from binnet.modelfile.info import DataInfo
from c_programs import need
from eight_bits import in_eight_bits

FAST = "cc -O1"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    need("cc")
    folder, digits = tmp_path_factory.mktemp("verify"), binnet_datasets.load("digits")
    mean, std = (tuple(map(float, each)) for each in digits.mean_std())
    info = DataInfo("digits", digits.class_names, mean, std)
    model = binnet.pack(binnet.models.build("lenet5", num_classes=10, in_channels=1, image_size=8, seed=1), info)
    model.save(folder / "net.h5")
    PackedModel(in_eight_bits(model.graph, np.random.default_rng(0)), info).save(folder / "int8.h5")
    binnet.pack(binnet.models.build("lenet5", num_classes=10, in_channels=1, image_size=8)).save(folder / "floats.h5")
    return folder


def test_the_test_images_of_the_model(say, files):
    code, text, err = say("verify", files / "net.h5", "--c")
    assert (code, err) == (0, "")
    assert "for all 360 test images of digits" in text
    assert "its self-test passes" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["net.h5", "int8.h5", "floats.h5"])
@pytest.mark.parametrize("bits", ["32", "64"])
def test_random_images(say, files, name, bits):
    code, text, err = say("verify", files / name, "--c", "--random", "9", "--word-bits", bits, "--cc", FAST, "--json")
    assert (code, err.count("error")) == (0, 0)
    found = json.loads(text)
    assert (found["n"], found["differing"]) == (9, 0)
    if name == "int8.h5":
        assert found["same_bits"] == 9


@pytest.mark.parametrize("compiler", ["gcc -O1 -m32", "clang -O1", "python -m ziglang cc"])
def test_other_compilers(say, files, compiler):
    need(compiler.split()[0])
    code, text, err = say("verify", files / "int8.h5", "--c", "--random", "9", "--cc", compiler)
    if "cannot compile" in err:
        pytest.skip(f"{compiler} does not work here")
    assert (code, err) == (0, "")
    assert text.startswith("the C program gives the same bits as the engine for all 9 random images")


@pytest.mark.slow
def test_another_processor(say, files):
    pytest.importorskip("ziglang")
    runner = next((name for name in ("qemu-aarch64-static", "qemu-aarch64") if shutil.which(name)), None)
    if runner is None:
        pytest.skip("no emulator of ARM is installed")
    compiler = "python -m ziglang cc -target aarch64-linux-musl"
    given = ("--random", "9", "--cc", compiler, "--runner", runner)
    for name in ("net.h5", "int8.h5"):
        code, text, err = say("verify", files / name, "--c", *given)
        assert (code, err) == (0, "")
        assert "for all 9 random images" in text


@pytest.mark.parametrize(("name", "message"), [("net.h5", "other"), ("int8.h5", "other")])
def test_a_program_with_another_weight_is_found(say, files, monkeypatch, name, message):
    made = check.generate

    def changed(model, settings, stem="model", command=""):
        *nodes, last = model.graph.nodes
        weight = last.held.copy()
        weight.reshape(-1)[:7] = 0
        nodes.append(replace(last, **{last.weights: weight}))
        return made(PackedModel(Graph(tuple(nodes)), model.info), settings, stem, command)

    monkeypatch.setattr(check, "generate", changed)
    code, text, err = say("verify", files / name, "--c", "--random", "30", "--cc", FAST)
    assert (code, text) == (1, "")
    assert message in err or "scores that differ" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--random", "0"), "--random must be at least 1, got 0"),
        (("--data", "photos"), "--random takes the place of --dataset, --data, --split and --layout"),
        (("--split", "val"), "--random takes the place of --dataset, --data, --split and --layout"),
        (("--layout", "classes"), "--random takes the place of --dataset, --data, --split and --layout"),
        (("--model", "net.py:build"), "--c takes one packed model, and neither PACKED nor --model"),
        (("--cc", FAST, "--runner", "a 'b"), "cannot read the command"),
        (("--cc", "no-such-cc"), "there is no C compiler 'no-such-cc'"),
        (("--cc", "cc 'a"), "cannot read the command"),
        (("--cc", "false"), "cannot compile the program"),
        (("--cc", FAST, "--runner", "no-such-runner"), "no-such-runner"),
        (("--cc", FAST, "--runner", "false"), "the program ended with code 1"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(say, files, options, message):
    code, text, err = say("verify", files / "net.h5", "--c", *(() if "0" in options else ("--random", "3")), *options)
    assert (code, text) == (1, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_options_of_c_need_c(say, files):
    code, text, err = say("verify", files / "net.h5", "--random", "3")
    assert (code, text) == (1, "")
    assert "--random is for --c only" in err
