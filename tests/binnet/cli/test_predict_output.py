"""Output of ``binnet predict`` for programs: CSV, and messages about folders."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet import models
from binnet.modelfile.info import DataInfo


@pytest.fixture
def model(tmp_path):
    info = DataInfo("", ("cat", 'a "b", c'), (0.5,), (0.25,))
    binnet.pack(models.build("lenet5", num_classes=2, in_channels=1, image_size=8), info).save(tmp_path / "m.h5")
    return tmp_path / "m.h5"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)).save(folder / f"{i}.png")
    (folder / "3.png").write_bytes((folder / "0.png").read_bytes()[:50])
    return folder


@pytest.fixture
def say(say):
    """Run ``binnet predict``."""
    return lambda *argv: say("predict", *argv)


def test_csv_says_the_same_as_json(model, photos, say):
    _, out, _ = say(model, photos / "0.png", photos / "1.png", "--top", 2, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    _, text, _ = say(model, photos / "0.png", photos / "1.png", "--top", 2, "--json")
    expected = [
        {"image": one["image"], "rank": str(rank), **{name: str(value) for name, value in c.items()}}
        for one in json.loads(text)
        for rank, c in enumerate(one["classes"], 1)
    ]
    assert rows == expected
    assert out.splitlines()[0] == "image,rank,label,class,probability"
    assert len(rows) == 4


def test_a_folder_gets_a_rate_and_unreadable_images_are_passed_over(model, photos, say):
    for flag in ((), ("--csv",), ("--json",)):
        code, out, err = say(model, photos, *flag)
        assert code == 1
        assert [name in out for name in ("0.png", "1.png", "2.png", "3.png")] == [True, True, True, False]
        first, last = err.splitlines()
        assert re.match(r"binnet: error: expected .*3\.png", first)
        assert re.fullmatch(r"3 images in \d+\.\d s, [\d,]+ images/s, 1 unreadable", last)
    assert say(model, photos / "0.png")[2] == ""


def test_names_do_not_steer_the_terminal(tmp_path, say):
    info = DataInfo("", ("cat\x1b[2J\x07", "dög\ncow"), (0.5,), (0.25,))
    binnet.pack(models.build("lenet5", num_classes=2, in_channels=1, image_size=8), info).save(tmp_path / "m.h5")
    image, broken = tmp_path / "a\x1b[31m\nb.png", tmp_path / "c\x1b[31m.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    broken.write_bytes(b"none")
    _, out, err = say(tmp_path / "m.h5", image, broken, "--top", 2)
    assert out.startswith(f"{tmp_path}/a\\x1b[31m\\nb.png: ")
    assert len(out.splitlines()) == 1
    assert r"cat\x1b[2J\x07 " in out
    assert r"dög\ncow " in out
    assert r"c\x1b[31m.png" in err
    assert "\x1b" not in out + err
    _, out, _ = say(tmp_path / "m.h5", image, "--json")
    assert json.loads(out)[0]["image"] == str(image)


def test_json_and_csv_exclude_each_other(model, photos, say):
    code, out, err = say(model, photos / "0.png", "--csv", "--json")
    assert (code, out, err) == (1, "", "binnet: error: --json and --csv cannot be given together\n")
