"""The draws of the fine-tuning table: every image in one part, and the same draw again for the same seed."""

import pytest

import binnet
from binnet import cli, nn, shipped
from binnet.engine import PackedModel


@pytest.fixture(scope="module")
def finetuning(script):
    return script("docs/make_finetuning.py")


@pytest.fixture
def folder(tmp_path):
    for name in ("b", "a", "c"):
        inner = tmp_path / "images" / name / "more"
        inner.mkdir(parents=True)
        for number in range(30):
            (inner / f"{name}{number}.JPEG").write_bytes(b"")
        (inner / "notes.txt").write_bytes(b"")
    return tmp_path / "images"


def parts(place):
    return {part: {c.name: sorted(f.name for f in c.iterdir()) for c in (place / part).iterdir()} for part in FOLDERS}


FOLDERS = ("train", "val", "test")


def test_a_draw(finetuning, folder, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        finetuning.draw(folder, tmp_path / name, 2, 4, seed)
    one = parts(tmp_path / "one")
    assert one == parts(tmp_path / "again") != parts(tmp_path / "other")
    assert {part: sorted(found) for part, found in one.items()} == {part: ["a", "b"] for part in FOLDERS}
    for name in ("a", "b"):
        assert [len(one[part][name]) for part in FOLDERS] == [4, 20, 6]
        files = [file for part in FOLDERS for file in one[part][name]]
        assert sorted(files) == sorted(f"{name}{i}.JPEG" for i in range(30))


@pytest.mark.parametrize(("classes", "images", "message"), [(4, 4, "at least 4 folders"), (2, 10, "more than 10")])
def test_too_few_images_are_refused(finetuning, folder, tmp_path, classes, images, message):
    with pytest.raises(SystemExit, match=message):
        finetuning.draw(folder, tmp_path / "out", classes, images, 1)
    assert not (tmp_path / "out").exists()


def test_a_folder_and_a_model_that_are_not_there(finetuning, tmp_path):
    with pytest.raises(SystemExit, match=r"there is no folder .*none"):
        finetuning.draw(tmp_path / "none", tmp_path / "out", 2, 4, 1)
    with pytest.raises(SystemExit, match="there is no file none, and no model of this name comes with binnet"):
        finetuning.beginnings("none", [], tmp_path)


def test_another_draw_in_the_folder_is_refused(finetuning, folder, tmp_path):
    for _ in range(2):  # the same one is completed
        finetuning.draw(folder, tmp_path / "out", 2, 4, 1)
        next((tmp_path / "out" / "train" / "a").iterdir()).unlink()
    with pytest.raises(SystemExit, match="out has another draw: choose another --out"):
        finetuning.draw(folder, tmp_path / "out", 2, 4, 2)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("reactnet18", "xnor", {"width": 4}),
        ("quick2", "xnor", {"binary_gradient": "ternary", "grad_bits": 4}),
        ("quick2", "xnor", {"act_bits": 2, "ste": "polynomial"}),
        ("quick2", "bnn", {"classifier": "one-bit", "scale": "learned", "clip": False}),
        ("quick2", "bwn", {"ste": "polynomial", "center": True}),
    ],
)
def test_both_trainings_have_the_same_network_and_gradients(finetuning, tmp_path, name, mode, options):
    path = str(tmp_path / "model.h5")
    binnet.pack(binnet.models.build(name, mode, num_classes=3, image_size=16, **options)).save(path)
    _require_network(finetuning, path, tmp_path / "out")


@pytest.mark.parametrize("model", shipped.names())
def test_models_that_come_with_binnet_have_the_same_network_in_both_trainings(finetuning, tmp_path, model):
    _require_network(finetuning, model, tmp_path / "out")


def _require_network(finetuning, model, out):
    """The words of the training from random weights are accepted, and give the network of the model."""
    begin = finetuning.beginnings(model, ["--threads", "1"], out)
    assert begin[model] == ["--threads", "1", "--recipe", "finetune", "--init", model]
    words = ["train", "--data", "photos", "--out", str(out / "run"), *begin["random weights"]]
    config, _ = cli.train._new_run(cli.parser().parse_args(words))
    built, chosen = binnet.load(model).built, {**config.binary_options(), **config.own_options()}
    net = binnet.models.build(config.model, config.binarize, built["num_classes"], 3, config.image_size, **chosen)
    found, defaults = net.spec.provenance(), binnet.models.build(built["name"]).spec.options
    assert {**found, "options": {}} == {**built, "options": {}}
    assert found["options"] == {**defaults, **built["options"]}
    assert config.recipe == "imagenet-64"


def test_a_network_of_ones_own_is_refused(finetuning, tmp_path):
    model = binnet.pack(nn.Sequential(nn.Conv2d(1, 2, 3, rng=0)), input_shape=(4, 4, 1))
    for built in (None, {"name": "net.py:build", "binarize": "", "sha256": "0"}):
        PackedModel(model.graph, model.info, built=built).save(tmp_path / "own.h5")
        with pytest.raises(SystemExit, match=r"own\.h5 must be a built-in network"):
            finetuning.beginnings(str(tmp_path / "own.h5"), [], tmp_path)
