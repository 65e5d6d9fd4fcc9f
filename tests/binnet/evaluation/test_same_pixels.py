"""Custom models and the user's images: the same pixels from files, folders and stores, and nothing left out."""

import io
import json
import os
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
from binnet import models
from binnet.engine.preprocessing import preprocessing_of, read_for, view_of
from binnet.evaluation.evaluate import open_model
from binnet.modelfile.info import DataInfo, Preprocessing
from binnet_datasets import BuildOptions, Loader

SIZES = ((40, 90), (61, 33), (24, 24), (300, 250), (12, 20))
HOW = Preprocessing(24, 18)


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.setenv("BINNET_DATA", str(tmp_path / "cache"))


def save_model(path, classes=("cat", "dog"), how=HOW, **more):
    info = DataInfo("photos", classes, (0.5,) * 3, (0.25,) * 3, preprocessing=how, **more)
    net = models.build("lenet5", in_channels=3, num_classes=len(classes), image_size=16, seed=1).eval()
    binnet.pack(net, info).save(path)
    return path


@pytest.fixture
def model(tmp_path):
    return save_model(tmp_path / "model.h5")


@pytest.fixture
def photos(tmp_path):
    """Photos of many sizes, half of them JPEGs."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i, size in enumerate(SIZES):
            coarse = Image.fromarray(rng.integers(0, 256, (7, 5, 3), np.uint8)).resize(size)
            coarse.save(tmp_path / "photos" / name / f"{i}.{'jpg' if i % 2 else 'png'}")
    return tmp_path / "photos"


def answers(text):
    return {row["image"].rpartition("photos/")[2]: row["classes"] for row in json.loads(text)}


@pytest.mark.parametrize("how", [HOW, Preprocessing(20, 20), Preprocessing(40, 16)])
def test_a_store_shows_the_same_pixels_as_the_files(photos, tmp_path, how):
    model = open_model(save_model(tmp_path / "m.h5", how=how))
    data = binnet_datasets.load_evaluation(photos, options=BuildOptions(how.stored_size))
    view = view_of(model.info, data.test, (16, 16))
    (shown, _), *_ = Loader(data.test, 99, mean=0, std=1, view=view).epoch()
    files = [read_for(model, photos / name) for name in data.test.images.names]
    assert len(files) == 10
    assert np.array_equal(shown, np.stack(files) / np.float32(255))


def test_files_folders_stores_and_archives_get_the_same_probabilities(photos, model, tmp_path, say):
    store = tmp_path / "photos.h5"
    binnet_datasets.build_store(photos, store, BuildOptions(24))
    files = answers(say("predict", model, *sorted(photos.rglob("*.*")), "--json", "--top", 2)[1])
    assert len(files) == 10
    assert answers(say("predict", model, photos, "--json", "--top", 2)[1]) == files
    assert answers(say("predict", model, f"{photos}/*/*.*", "--json", "--top", 2)[1]) == files
    for data in (photos, store):
        text = say("predict", model, "--data", data, "--split", "all", "--json", "--top", 2)[1]
        assert answers(text) == files
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted(photos.rglob("*.*")):
            archive.write(file, str(file.relative_to(photos)))
    assert answers(say("predict", model, "--data", tmp_path / "a.zip", "--json", "--top", 2)[1]) == files
    inside = json.loads(say("predict", model, tmp_path / "a.zip", "--json", "--top", 2)[1])
    assert {row["image"].removeprefix(f"{tmp_path}/a.zip/"): row["classes"] for row in inside} == files


def test_a_store_of_another_size_shows_the_same_part(tmp_path):
    """A ramp from left to right: the leftmost and rightmost pixel that are shown."""
    ramp = np.broadcast_to(np.linspace(0, 250, 200).astype(np.uint8)[None, :, None], (200, 200, 3))
    for name in ("cat", "dog"):
        (tmp_path / "ramp" / name).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "ramp" / name / "a.png")
    info, ends = DataInfo(preprocessing=HOW), []
    for size in (17, 24, 64, 200):
        test = binnet_datasets.load_evaluation(tmp_path / "ramp", options=BuildOptions(size)).test
        (x, _), *_ = Loader(test, 2, mean=0, std=1, view=view_of(info, test, (16, 16))).epoch()
        ends.append(x[0, 8, [0, -1], 0])
    assert np.abs(np.array(ends) - ends[1]).max() < 0.02


def test_a_model_of_a_data_set_by_name_sees_whole_images(photos, tmp_path, say):
    model = save_model(tmp_path / "m.h5", how=Preprocessing())
    small = tmp_path / "photos" / "small"
    for name in ("cat", "dog"):
        (small / name).mkdir(parents=True)
        Image.open(photos / name / "0.png").save(small / name / "0.png")
    files = answers(say("predict", model, small, "--json")[1])
    data = binnet_datasets.load_evaluation(small).test
    view = view_of(open_model(model).info, data)
    assert view.whole
    assert say("evaluate", model, "--data", small, "--json")[0] == 0
    assert len(files) == 2


def test_what_a_training_records(photos):
    binnet_datasets.build_store(photos, photos / "s.h5", BuildOptions(24))
    assert preprocessing_of(binnet_datasets.open_store(photos / "s.h5"), (16, 16)) == Preprocessing(24, 18)
    assert preprocessing_of(binnet_datasets.open_store(photos / "s.h5"), (24, 24)) == Preprocessing(24, 24)
    assert preprocessing_of(binnet_datasets.load("digits"), (8, 8)) == Preprocessing()


def test_evaluation_of_a_folder_uses_all_images(photos, model, say):
    found = json.loads(say("evaluate", model, "--data", photos, "--json")[1])
    assert (found["n"], found["classes_missing"], found["classes_matched_by"]) == (10, [], "name")
    confusion = np.array(found["confusion"])
    assert found["balanced"] == pytest.approx((confusion.diagonal() / confusion.sum(axis=1)).mean())
    (photos / "dog").rename(photos / "Owl")
    code, text, err = say("evaluate", model, "--data", photos, "--json")
    found = json.loads(text)
    assert (code, found["n"], found["left_out"]["unknown_class"]) == (0, 5, {"Owl": 5})
    assert found["classes_missing"] == ["dog"]
    assert "left out 5 images of classes that the model does not know: Owl (5)" in err
    (photos / "cat").rename(photos / "emu")
    code, text, err = say("evaluate", model, "--data", photos)
    assert (code, err.count("\n")) == (1, 1)
    assert "no class of photos (Owl, emu) is one of the model's (cat, dog)" in err


def test_a_damaged_store_in_the_cache_is_built_anew(photos, model, tmp_path, say):
    first = json.loads(say("evaluate", model, "--data", photos, "--json")[1])
    (store,) = (tmp_path / "cache" / "stores").glob("*.h5")
    for content in (store.read_bytes()[:5000], b"", store.read_bytes()):
        store.write_bytes(content)
        code, text, err = say("evaluate", model, "--data", photos, "--json")
        assert (code, json.loads(text)) == (0, first)
        assert ("building it again" in err) == (len(content) <= 5000)


def test_corrupt_images_are_said_each_time(photos, model, say):
    (photos / "cat" / "0.png").write_bytes(b"no image")
    for _ in range(2):
        code, text, err = say("evaluate", model, "--data", photos, "--json")
        assert (code, json.loads(text)["n"]) == (0, 9)
        assert "left out cat/0.png: expected an image" in err


def test_balanced_accuracy_names_the_worst_class(photos, tmp_path, say):
    for i in (1, 2, 3, 4):
        next(photos.glob(f"dog/{i}.*")).unlink()
    info = DataInfo("photos", ("cat", "dog"), (0.5,) * 3, (0.25,) * 3, preprocessing=HOW)
    net = models.build("lenet5", in_channels=3, num_classes=2, image_size=16).eval()
    net.dense4.bias.data[:] = 1e6, 0  # always a cat
    binnet.pack(net, info).save(tmp_path / "m.h5")
    figures = json.loads(say("evaluate", tmp_path / "m.h5", "--data", photos, "--json")[1])
    assert (figures["top1"], figures["balanced"]) == (5 / 6, 0.5)
    text = say("evaluate", tmp_path / "m.h5", "--data", photos)[1]
    assert "top-1 83.33%, balanced 50.00%" in text
    assert "the classes differ: of dog only 0 of 1 images are predicted right" in text


def test_images_that_were_trained_on_are_left_out(photos, tmp_path, say):
    store = tmp_path / "photos.h5"
    binnet_datasets.build_store(photos, store)
    keys = np.sort(binnet_datasets.open_store(store).train.images.keys)
    model = save_model(tmp_path / "m.h5", trained_on=keys)
    found = json.loads(say("evaluate", model, "--data", photos, "--json")[1])
    assert (found["n"], found["left_out"]["trained_on"]) == (10 - len(keys), len(keys))
    assert json.loads(say("evaluate", model, "--data", photos, "--json", "--include-trained")[1])["n"] == 10
    code, _, err = say("evaluate", model, "--data", store, "--split", "train")
    assert (code, err.count("\n")) == (1, 1)
    assert "was trained on all" in err


def test_labels_from_a_table(photos, model, tmp_path, say):
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in photos.rglob("*.*"):
        file.rename(flat / f"{file.parent.name} {file.name}")
    rows = [f"./{file.name};{file.name[:3].upper()}" for file in sorted(flat.iterdir())]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["File;Class", *rows[:9], "none.png;cat"]), "utf-8-sig")
    code, text, err = say("evaluate", model, "--data", flat, "--labels", table, "--json")
    found = json.loads(text)
    assert (code, found["n"]) == (0, 9)
    assert np.sum(found["confusion"], axis=1).tolist() == [5, 4]
    assert "left out 1 of the rows" in err
    assert "left out 1 of the images" in err
    for content, message in (
        ("a.png,cat", "but none of its 1 rows has one"),
        ("cat 0.png,cat\ncat 0.png,dog", "gives cat 0.png two classes, cat and dog"),
        ("cat 0.png", "expected an image and a class in each row"),
        ("", "expected rows of an image and its class"),
    ):
        table.write_text(content)
        code, _, err = say("evaluate", model, "--data", flat, "--labels", table)
        assert (code, err.count("\n")) == (1, 1)
        assert message in err


def test_predict_passes_over_system_files_and_reports_the_unreadable(photos, model, say):
    for name in ("@eaDir/0.png/SYNOPHOTO_THUMB_M.png", ".hidden/a.png", "__MACOSX/a.png", ".a.png", "cat/note.txt"):
        target = photos / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((photos / "cat" / "0.png").read_bytes())
    os.symlink(photos, photos / "dog" / "again")
    os.symlink(photos / "gone.png", photos / "cat" / "broken.png")
    code, text, err = say("predict", model, photos, "--json")
    assert code == 1
    assert len(json.loads(text)) == 10
    assert "broken.png, but it cannot be used: a broken link" in err
    assert "1 file is not used (no image): cat/note.txt" in err


def test_predict_of_standard_input(photos, model, say, monkeypatch):
    content = (photos / "cat" / "1.jpg").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    code, text, _ = say("predict", model, "-", "--json")
    (row,) = json.loads(text)
    assert (code, row["image"]) == (0, "standard input")
    assert row["classes"] == json.loads(say("predict", model, photos / "cat" / "1.jpg", "--json")[1])[0]["classes"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    code, _, err = say("predict", model, "-")
    assert (code, err) == (1, "binnet: error: expected an image at standard input, but it is empty\n")


def test_patterns_without_images(photos, model, say):
    code, _, err = say("predict", model, f"{photos}/*.bmp")
    assert (code, err) == (1, f"binnet: error: expected images that fit {photos}/*.bmp, but there are none\n")
    (photos / "notes").mkdir()
    (photos / "notes" / "a.txt").write_text("")
    _, _, err = say("predict", model, photos / "notes")
    assert err.endswith("notes, but there are none: 1 file is not used (no image): a.txt\n")


def test_a_run_folder_in_place_of_a_model(photos, model, tmp_path, say):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text("")
    code, _, err = say("predict", run, photos)
    assert (code, err) == (1, f"binnet: error: the run folder {run} holds no packed.h5\n")
    model.rename(run / "packed.h5")
    assert say("predict", run, photos, "--json")[0] == 0
    assert json.loads(say("evaluate", run, "--data", photos, "--json")[1])["n"] == 10
    assert say("summary", run)[0] == 0
    assert say("inspect", run)[0] == 0
    assert "holds no best.h5" in say("pack", run, tmp_path / "out.h5")[2]
