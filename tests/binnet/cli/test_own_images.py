"""``binnet data``, and stores and folders of images as the data of the other commands."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
import binnet_kernels as bk
from binnet import models
from binnet.console import Console
from binnet.evaluation import loading
from binnet.modelfile.info import DataInfo, Preprocessing

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """Restore the number of threads, and use a temporary cache."""
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))
    before = bk.get_num_threads()
    yield
    bk.set_num_threads(before)


def save_images(folder, size=(24, 24), count=10):
    """Class folders of images of one colour each, with some noise."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 60, (*size, 3))
            image[..., label] += 180
            Image.fromarray(image.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def photos(tmp_path):
    return save_images(tmp_path / "photos")


@pytest.fixture
def store(photos, tmp_path):
    binnet_datasets.build_store(photos, tmp_path / "photos.h5")
    return tmp_path / "photos.h5"


@pytest.fixture
def model(tmp_path):
    """An untrained packed model for such images."""
    info = DataInfo("photos", CLASSES, (0.5,) * 3, (0.25,) * 3, preprocessing=Preprocessing(24, 18))
    network = models.build("lenet5", in_channels=3, num_classes=3, image_size=16, seed=1).eval()
    binnet.pack(network, info).save(tmp_path / "model.h5")
    return tmp_path / "model.h5"


def test_build_and_info(photos, tmp_path, say):
    out = tmp_path / "out.h5"
    code, text, err = say("data", "build", photos, out, "--size", 12)
    assert (code, err) == (0, "")
    held, about, few, done = text.splitlines()
    assert held.startswith("held 3 of the 30 training images out for validation; their content decides, for 10%")
    assert about == "3 classes (training + validation images): cat 9 + 1, dog 9 + 1, owl 9 + 1"
    assert few.startswith("some classes have fewer than 5 validation images")
    assert re.fullmatch(rf"{out}: 27 training and 3 validation images, \d+ MB, in \d+\.\d s", done)
    code, text, _ = say("data", "build", photos, out, "--size", 12)
    assert code == 0
    assert text.splitlines()[-1] == f"{out} is there already, with the same 27 training and 3 validation images"
    code, text, _ = say("data", "info", out, "--check", "--preview", tmp_path / "sheet.png")
    assert code == 0
    assert "27 training images of 3 classes, 9 of each; pixels: 12 x 12 x 3" in text
    assert re.search(r"^1 +dog +dog +9 +1$", text, re.MULTILINE)
    assert "no image is damaged" in text
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[1] == 304


def test_json_is_all_there_is_on_stdout(photos, tmp_path, say):
    out = tmp_path / "out.h5"
    code, text, err = say("data", "build", photos, out, "--json", "--val", 0.2, "--classes", 2, "--per-class", 5)
    figures = json.loads(text)
    assert (code, figures["train"], figures["val"], figures["corrupt"], figures["fresh"]) == (
        0,
        10 - figures["val"],
        figures["val"],
        [],
        True,
    )
    assert f"held {figures['val']} of the 10" in err
    code, text, _ = say("data", "info", out, "--json", "--check")
    figures = json.loads(text)
    counts = figures["train"].pop("images_of_class")
    assert figures["train"] == {"images": sum(counts), "rows": [24, 24], "columns": [24, 24]}
    assert (len(counts), sum(counts)) == (2, 10 - figures["val"]["images"])
    assert (figures["class_names"], figures["damaged"], figures["channels"]) == (["cat", "dog"], [], 3)


def test_corrupt_images_are_reported(photos, tmp_path, say):
    for i in (2, 5):
        (photos / "cat" / f"{i}.png").write_bytes(b"no image")
    code, text, _ = say("data", "build", photos, tmp_path / "out.h5", "--max-corrupt", 0.1)
    assert code == 0
    assert "2 corrupt images were left out:\n  cat/2.png: expected an image" in text
    assert "cat/5.png" in say("data", "info", tmp_path / "out.h5")[1]
    (photos / "cat" / "7.png").write_bytes(b"no image")
    code, _, err = say("data", "build", photos, tmp_path / "new.h5", "--max-corrupt", 0.05)
    assert code == 1
    assert re.fullmatch(r"binnet: error: expected at most 1 of 30 images to be corrupt, .*\n", err)
    assert not (tmp_path / "new.h5").exists()


def test_damaged_pixels_make_info_fail(store, say):
    content = bytearray(store.read_bytes())
    content[5000] ^= 1
    store.write_bytes(content)
    code, text, _ = say("data", "info", store, "--check")
    assert code == 1
    assert re.search(r"^damaged images: cat/\d.png$", text, re.MULTILINE)


@pytest.mark.parametrize("kind", ["store", "photos"])
def test_evaluate_takes_a_store_or_a_folder_alone(model, store, photos, say, kind):
    data = {"store": store, "photos": photos}[kind]
    code, text, _ = say("evaluate", model, "--data", data, "--json")
    figures = json.loads(text)
    assert code == 0
    net, images = binnet.load(model), binnet_datasets.load_evaluation(data).test
    centres = np.stack([np.asarray(_centre(images.images[i])) for i in range(len(images))])
    logits = net(binnet_datasets.normalise(centres, net.info.mean, net.info.std))
    assert (figures["dataset"], figures["n"]) == ("photos", 30 if kind == "photos" else 3)
    assert figures["top1"] == (logits.argmax(axis=1) == images.labels).mean()
    assert figures["left_out"] == {"unknown_class": {}, "trained_on": 0}


def _centre(image):
    """The part of a 24-pixel image that a model of 16 pixels sees: the central 18, which is 16 times 256/224."""
    return Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR, box=(1.333, 1.333, 22.667, 22.667))


def test_predict_takes_folders_and_stores(model, store, photos, say):
    names = sorted(str(path) for path in photos.rglob("*.png"))
    code, text, _ = say("predict", model, photos, "--json")
    assert code == 0
    assert [row["image"] for row in json.loads(text)] == names
    code, text, _ = say("predict", model, photos / "owl", photos / "cat" / "0.png")
    assert len(text.splitlines()) == 11
    code, text, _ = say("predict", model, "--data", store, "--json")
    held = binnet_datasets.read_store(store).val.names
    assert [row["image"] for row in json.loads(text)] == list(held)


def test_predict_shows_an_image_as_a_store_does(tmp_path, say):
    """Images of other proportions are cropped to the centre, at the size of the stored images."""
    photos = save_images(tmp_path / "wide", size=(20, 50), count=4)
    binnet_datasets.build_store(photos, tmp_path / "wide.h5", binnet_datasets.BuildOptions(size=16))
    info = DataInfo("wide", CLASSES, (0.5,) * 3, (0.25,) * 3, preprocessing=Preprocessing(16, 16))
    network = models.build("lenet5", in_channels=3, num_classes=3, image_size=16, seed=1).eval()
    binnet.pack(network, info).save(tmp_path / "model.h5")
    stored = json.loads(say("predict", tmp_path / "model.h5", "--data", tmp_path / "wide.h5", "--json")[1])
    assert len(stored) == 3
    for row in stored:
        text = say("predict", tmp_path / "model.h5", photos / row["image"], "--json")[1]
        assert json.loads(text)[0]["classes"] == row["classes"]


def test_train_on_a_folder(photos, tmp_path, say):
    code, text, err = say("train", "--data", photos, "--model", "lenet5", "--epochs", 1, "--out", tmp_path / "run")
    assert (code, err) == (0, "")
    assert "on photos, 24x24 pixels: 27 training images, 3 for validation" in text
    code, _, err = say("evaluate", tmp_path / "run" / "packed.h5")
    assert (code, err[:14]) == (1, "binnet: error:")
    assert "was trained on images of photos; say where a store or folder of them is with --data" in err


BAD = [
    ("data", "arguments are required: WHAT"),
    ("data build", "the following arguments are required: SOURCE, OUT.h5"),
    ("data build {}/none {}/out.h5", "a folder of images or an archive at .*none, but there is nothing"),
    ("data build {}/empty {}/out.h5", "expected images .* in .*empty, but there are none among 0 files"),
    ("data build {}/x.tar.gz {}/out.h5", "expected a whole archive at .*x.tar.gz, but it is damaged"),
    ("data build {}/photos {}/photos", "to write an image store to .*photos, but there is a folder"),
    ("data build {}/photos /dev/null", "to write an image store to /dev/null, but there is something that is no image"),
    ("data build {}/photos {}/photos.h5 --size 7", "is a store of other images or options already"),
    ("data build {}/photos {}/out.h5 --size 0", "expected size from 1 to 2048, but got 0"),
    ("data build {}/photos {}/out.h5 --jobs 0", "expected jobs of at least 1 .* but got 0"),
    ("data build {}/photos {}/out.h5 --classes 9", "a number of classes from 2 to 3, which there are, but got 9"),
    ("data build {}/photos {}/out.h5 --val 2", "a share of the training images between 0 and 1 as val, but got 2"),
    ("data build {}/photos {}/out.h5 --channels 2", "--channels: invalid choice: '?2"),
    ("data info {}/none.h5", "expected an image store at .*none.h5, but there is no file"),
    ("data info {}/photos", "but there is a folder"),
    ("data info {}/model.h5", "model.h5 is no image store"),
    ("data info {}/photos.h5 --preview {}/empty", "cannot write .*empty: it is not a file"),
    ("evaluate {}/model.h5", "was trained on images of photos; say where .* with --data"),
    ("evaluate {}/model.h5 --data {}/none", "a folder of images or an archive at .*none, but there is nothing"),
    ("evaluate {}/model.h5 --data {}/grey.h5", "the model takes images of 3 channels, but photos has 1"),
    ("evaluate {}/model.h5 --data {}/photos.h5 --split test", "which has train and val, but got 'test'"),
    (
        "evaluate reactnet18-cifar10 --data {}/empty",
        "CIFAR-10 in .*empty holds no images, so it was read as cifar10",
    ),
    ("evaluate {}/photos.h5", "is an HDF5 file, but neither"),
    ("predict {}/model.h5", "the following arguments are required: IMAGE, or --data PATH"),
    ("predict {}/model.h5 {}/empty", "expected images in .*empty, but there are none"),
    ("predict {}/model.h5 --data {}/grey.h5", "the model takes images of 3 channels, but .*grey.h5 has 1"),
    ("train --data {}/none", "a folder of images or an archive at .*none, but there is nothing"),
    ("train --data {}/model.h5", "model.h5 is no image store"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_gets_one_clear_sentence(line, message, photos, store, model, tmp_path, say, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b" + bytes(100))
    binnet_datasets.build_store(photos, tmp_path / "two.h5", binnet_datasets.BuildOptions(classes="2"))
    binnet_datasets.build_store(photos, tmp_path / "grey.h5", binnet_datasets.BuildOptions(channels=1))
    code, _, err = say(*(word.replace("{}", str(tmp_path)) for word in line.split()))
    assert code in (1, 2)
    assert len(err.splitlines()) == 1
    assert re.match(r"binnet( \w+)*: error: ", err)
    assert re.search(message, err)
    assert not (tmp_path / "out.h5").exists()


def test_lines_from_time_to_time_without_a_terminal(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loading.time, "monotonic", lambda: now[0])
    with loading.images_done(Console()) as report:
        for done in range(100, 1100, 100):
            now[0] += 6
            report(done, 1000)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "200 of 1,000 images, 17 images/s, 48 s left"
    assert len(lines) == 5
    assert lines[-1] == "1,000 of 1,000 images, 17 images/s, 0 s left"


def test_ctrl_c_in_a_build_is_one_line(photos, tmp_path):
    code = (
        "import sys, binnet_datasets.store.build as b\n"
        "from binnet.cli import main\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "b._Build._take = stop\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    argv = [sys.executable, "-c", code, "data", "build", photos, tmp_path / "out.h5"]
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "binnet: stopped\n"
    assert not (tmp_path / "out.h5").exists()


def test_folders_that_can_be_read_both_ways(photos, model, tmp_path, say):
    shutil.copytree(photos, tmp_path / "toys" / "train")
    shutil.copytree(photos / CLASSES[0], tmp_path / "toys" / "car")
    for line in (["evaluate", model, "--data"], ["train", "--out", tmp_path / "run"]):
        code, _, err = say(*line, tmp_path / "toys")
        assert code == 1
        assert "can be read both ways: with --layout splits" in err
    code, out, _ = say("evaluate", model, "--data", tmp_path / "toys", "--layout", "splits", "--json")
    assert code == 0
    assert json.loads(out)["n"] == sum(1 for _ in photos.rglob("*.*"))
    code, out, _ = say("predict", model, "--data", tmp_path / "toys", "--layout", "splits", "--csv")
    assert code == 0
    assert len(out.splitlines()) == 1 + sum(1 for _ in photos.rglob("*.*"))
