"""The command line from end to end, and its messages for invalid input."""

import csv
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
import binnet_kernels as bk
from binnet import __main__, cli, models, optim
from binnet.cli import main
from binnet.console import Console
from binnet.modelfile import container
from binnet.modelfile.info import DataInfo
from binnet.train import diagnostics
from binnet.train.config import TrainConfig
from binnet.train.options.config_file import read_toml
from binnet.train.output import checkpoint
from binnet.train.output.state import Progress, State

CURVES = ["curves.png"] if importlib.util.find_spec("matplotlib") else []
NAMES = ["best.h5", "config.toml", *CURVES, "health.csv", "last.h5", "log.txt", "metrics.csv", "packed.h5"]


@pytest.fixture(autouse=True)
def threads():
    """Restore the number of threads, which commands change for the whole process."""
    before = bk.get_num_threads()
    bk.set_num_threads(1)
    yield
    bk.set_num_threads(before)


def command(*argv, module="binnet", **options):
    """Run the command line in a new process."""
    argv = [sys.executable, "-m", module, *map(str, argv)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run folder and output of ``binnet train``."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    return folder, command("train", "--epochs", 2, "--threads", 1, "--out", folder)


@pytest.fixture
def run(trained):
    """A run folder that tests only read."""
    assert trained[1].returncode == 0, trained[1].stderr
    return trained[0]


@pytest.fixture(scope="module")
def digits():
    return binnet_datasets.load("digits").test


@pytest.fixture
def sure(run, digits):
    """Four digits that the model classifies correctly and with high probability."""
    model = binnet.load(run / "packed.h5")
    logits = model(binnet_datasets.normalise(digits.images, model.info.mean, model.info.std))
    margin = logits[np.arange(360), digits.labels] - np.sort(logits, axis=1)[:, -2]
    return np.argsort(-margin)[:4]


@pytest.fixture
def pictures(tmp_path, digits, sure):
    """Those digits as PNG and JPEG, grey and coloured; JPEG enlarged, which leaves them nearly as they are."""
    paths = [tmp_path / name for name in ("grey.png", "grey.jpg", "rgb.png", "rgb.jpeg")]
    for i, path in zip(sure, paths, strict=True):
        image = Image.fromarray(digits.images[i, :, :, 0]).convert("RGB" if path.stem == "rgb" else "L")
        if path.suffix == ".png":
            image.save(path)
        else:
            image.resize((64, 64), Image.Resampling.NEAREST).save(path, quality=95)
    return paths


def test_train_prints_epochs_and_a_table(trained, run):
    output = trained[1].stdout
    assert trained[1].stderr == ""
    assert re.search(
        r"lenet5 \(xnor, 130,690 parameters\) on digits, 8x8 pixels: 1,437 training images, 360 for v", output
    )
    assert re.search(r"epoch +1/2 +loss \d\.\d+ +train +\d+\.\d+% +val +\d+\.\d+% \* +[\d,]+ images/s", output)
    assert re.search(r"accuracy +size in float32 +size packed +factor +time\n\d+\.\d+% +525\.3 kB +5\d\.\d kB", output)
    assert f"packed model: {run / 'packed.h5'}" in output
    assert "\x1b" not in output


def test_train_writes_its_files_and_no_others(run):
    assert sorted(p.name for p in run.iterdir()) == NAMES
    config = TrainConfig.from_dict(read_toml(run / "config.toml"))
    assert config == TrainConfig(epochs=2) == checkpoint.read_config(run / "last.h5")
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = "epoch,lr,train_loss,train_top1,val_loss,val_top1,val_top5,images_per_s,seconds"
    assert ",".join(rows[0]) == columns + ",wait,flipped,clipped,dead,balance"
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite([float(v) for v in row.values()]).all() for row in rows)
    log = (run / "log.txt").read_text()
    assert "epoch   2/2" in log
    assert "packed: top1" in log


def test_packed_and_unpacked_predict_the_same(run, say):
    found = []
    for name in ("best.h5", "packed.h5"):
        code, out, err = say("evaluate", run / name, "--dataset", "digits", "--json")
        assert (code, err) == (0, "")
        found.append(json.loads(out))
        assert found[-1].pop("file") == str(run / name)
    assert found[0] == found[1]
    assert set(found[0]) >= {"top1", "top5", "n", "confusion", "loss", "dataset"}
    confusion = np.array(found[0]["confusion"])
    assert found[0]["n"] == confusion.sum() == 360
    assert found[0]["top1"] == confusion.trace() / 360 > 0.8
    assert found[0]["top5"] > found[0]["top1"]


def test_evaluate_prints_a_table_of_confusions(run, say):
    code, out, _ = say("evaluate", run / "packed.h5", "--batch-size", 100)
    assert code == 0
    assert re.search(
        r"packed.h5 \(binnet packed model\) on 360 images of digits:\ntop-1 \d+\.\d+%, balanced \d+\.\d+%, top-5",
        out,
    )
    assert len(re.findall(r"^\d( +\d+){10}$", out, re.MULTILINE)) == 10


def test_json_of_train_is_all_there_is_on_stdout(tmp_path, say):
    code, out, err = say("train", "--epochs", 1, "--batch-size", 200, "--out", tmp_path / "run", "--json")
    assert code == 0
    result = json.loads(out)
    assert set(result) == {"out", "top1", "top5", "n", "float32_bytes", "packed_bytes", "seconds", "factor"}
    assert result["packed_bytes"] == (tmp_path / "run" / "packed.h5").stat().st_size
    assert "epoch" in err


def test_quiet(tmp_path, say):
    flags = ["--epochs", 1, "--batch-size", 200, "--quiet"]
    assert say("train", *flags, "--out", tmp_path / "run") == (0, "", "")
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == NAMES


def test_a_folder_of_its_own_when_none_is_named(tmp_path, say, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert say("train", "--epochs", 1, "--batch-size", 300, "--binarize", "bwn", "--quiet")[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"digits-lenet5-bwn-\d{8}-\d{6}", folder.name)


def test_python_m_binnet_train(tmp_path):
    done = command("--epochs", 1, "--batch-size", 300, "--threads", 1, "--out", tmp_path / "r", module="binnet.train")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "r" / "packed.h5").exists()


def test_pack(run, tmp_path, say):
    code, out, _ = say("pack", run / "best.h5", tmp_path / "p.h5")
    assert code == 0
    assert (tmp_path / "p.h5").read_bytes() == (run / "packed.h5").read_bytes()
    assert re.fullmatch(rf"{tmp_path}/p.h5: [\d,]+ bytes, (9|10)\.\d times smaller than float32\n", out)
    _, out, _ = say("pack", run / "best.h5", tmp_path / "p.h5", "--json")
    size = (tmp_path / "p.h5").stat().st_size
    assert json.loads(out) == {
        "out": str(tmp_path / "p.h5"),
        "float32_bytes": 525320,
        "packed_bytes": size,
        "factor": 525320 / size,
    }


def test_summary(run, say):
    _, out, _ = say("summary", run / "best.h5", "--json")
    assert json.loads(out)["total"]["file_bytes"] == (run / "packed.h5").stat().st_size
    assert json.loads(say("summary", run / "packed.h5", "--json")[1]) == json.loads(out)
    code, out, _ = say("summary", "--model", "lenet5", "--in-channels", 1)
    assert code == 0
    assert re.search(r"^conv2 +XnorConv +8x8x50 +25,000 +50 +1,600,000 +0 +3,328$", out, re.MULTILINE)
    assert re.search(r"^total +425,000 +6,330 +2,000,000 +293,000 +[\d,]+$", out, re.MULTILINE)
    _, out, _ = say("summary", "--model", "lenet5", "--binarize", "float", "--image-size", 8, "--num-classes", 3)
    assert "lenet5, float, 8x8x3 images" in out
    assert "0.0% of the multiply-adds are on one-bit weights" in out


def test_predict(run, pictures, digits, sure, say):
    code, out, err = say("predict", run / "packed.h5", *pictures)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for i, line, path in zip(sure, lines, pictures, strict=True):
        match = re.fullmatch(rf"{path}: (\d) (\d+\.\d\d)%", line)
        assert int(match[1]) == digits.labels[i]
        assert 50 < float(match[2]) <= 100
    assert say("predict", run / "best.h5", *pictures)[1] == out


def test_predict_gives_the_probabilities_of_the_model(run, pictures, digits, sure, say):
    _, out, _ = say("predict", run / "packed.h5", pictures[0], pictures[2], "--top", 3, "--json")
    model = binnet.load(run / "packed.h5")
    x = binnet_datasets.normalise(digits.images[sure[[0, 2]]], model.info.mean, model.info.std)
    exps = np.exp(model(x).astype(np.float64))
    expected = exps / exps.sum(axis=1, keepdims=True)
    for result, row, path in zip(json.loads(out), expected, (pictures[0], pictures[2]), strict=True):
        assert result["image"] == str(path)
        order = np.argsort(-row)[:3]
        assert [c["label"] for c in result["classes"]] == order.tolist()
        assert [c["class"] for c in result["classes"]] == [str(i) for i in order]
        np.testing.assert_allclose([c["probability"] for c in result["classes"]], row[order], rtol=1e-5)


def test_predict_top_is_at_most_all_classes(run, pictures, say):
    _, out, _ = say("predict", run / "packed.h5", pictures[0], "--top", 99, "--json")
    classes = json.loads(out)[0]["classes"]
    assert sorted(c["label"] for c in classes) == list(range(10))
    assert sum(c["probability"] for c in classes) == pytest.approx(1)


def test_one_unreadable_image_among_readable_ones(run, pictures, tmp_path, say):
    (tmp_path / "broken.png").write_bytes(pictures[0].read_bytes()[:60])
    images = [pictures[0], tmp_path / "broken.png", pictures[1], tmp_path / "none.png"]
    code, out, err = say("predict", run / "packed.h5", *images)
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == [str(pictures[0]), str(pictures[1])]
    assert len(err.splitlines()) == 2
    assert all(line.startswith("binnet: error: expected ") for line in err.splitlines())
    assert "broken.png" in err
    assert "none.png, but there is no such file" in err
    code, out, _ = say("predict", run / "packed.h5", *images, "--json")
    assert code == 1
    assert [r["image"] for r in json.loads(out)] == [str(pictures[0]), str(pictures[1])]


def test_names_of_images_are_printed_as_they_are(run, pictures, say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (":smile:.png", "[red]x.png"):  # rich would read emoji and markup into these
        (tmp_path / name).write_bytes(pictures[0].read_bytes())
        assert say("predict", run / "packed.h5", name)[1].startswith(f"{name}: ")


def test_no_number_is_cut_off_on_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    Console().table(["name", "count"], [["x" * 60, "1,234,567"]], ["total", "1,234,567"])
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert out.count("1,234,567") == 2
    assert "x" * 60 in out
    assert "…" not in out


def test_a_progress_bar_only_on_a_terminal(monkeypatch, capsys):
    with Console().progress(10) as advance:
        advance(5, "epoch 1")
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with Console().progress(10) as advance:
        advance(5, "epoch 1")
    out = capsys.readouterr().out
    assert "epoch 1" in out
    assert "5/10" in out
    with Console(quiet=True).progress(10) as advance:
        advance(5, "epoch 1")
    assert capsys.readouterr().out == ""


def test_resume_keeps_the_configuration(run, say):
    for flags in (["--seed", 0], ["--use-k"], ["--out", "x"], ["--config", "x"], ["--out", ""]):
        code, out, err = say("train", "--resume", run, *flags)
        assert (code, out) == (1, "")
        assert err == f"binnet: error: {flags[0]} cannot be given with --resume: a resumed training keeps its " + (
            "configuration\n"
        )


def test_resume_takes_data_that_has_moved(tmp_path, say, monkeypatch):
    folder, seen = tmp_path / "run", []
    net = models.build("lenet5", in_channels=1)
    config = TrainConfig(dataset="mnist", data="old/place")
    state = State(net, optim.Adam(net.parameters()), Progress(), diagnostics.signs(net), net.spec)
    checkpoint.save(folder / "last.h5", state, config, DataInfo())

    def fit(config, folder, resume, **_):
        seen.append((config, resume))
        raise ValueError("seen enough")

    monkeypatch.setattr("binnet.train.fit", fit)
    say("train", "--resume", folder, "--data", "new/place")
    say("train", "--resume", folder, "--workers", 3, "--checkpoint-every", 1, "--tensorboard")
    say("train", "--resume", folder)
    other = TrainConfig(dataset="mnist", data="old/place", workers=3, checkpoint_every=1.0, tensorboard=True)
    assert seen == [(TrainConfig(dataset="mnist", data="new/place"), True), (other, True), (config, True)]


def test_version_and_help(say):
    assert say("--version") == (0, f"binnet {binnet.__version__}\n", "")
    code, out, _ = say("--help")
    assert code == 0
    for module in cli.COMMANDS:
        name = module.__name__.rpartition(".")[2].rstrip("_")
        assert re.search(rf"^ +{name}\b", out, re.MULTILINE)
        code, text, _ = say(name, "--help")
        assert code == 0
        assert text.startswith(f"usage: binnet {name} ")


def test_ctrl_c_anywhere_else(say, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("binnet.evaluation.evaluate.open_model", stop)
    assert say("summary", "x") == (130, "", "binnet: stopped\n")


def test_ctrl_c_while_the_command_line_is_loaded(monkeypatch, capsys):
    class Stopping:
        def find_spec(self, name, *rest):
            if name == "binnet.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "binnet.cli")
    monkeypatch.delattr(binnet, "cli")
    monkeypatch.setattr(sys, "meta_path", [Stopping(), *sys.meta_path])
    assert __main__.main() == 130
    assert capsys.readouterr().err == "binnet: stopped\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("predict M --top 3 a.png", {"file": "M", "images": ["a.png"], "top": 3}),
        ("predict M a.png --threads 1 b.png", {"images": ["a.png", "b.png"], "threads": 1}),
        ("predict --top 2 M -- -a.png", {"file": "M", "images": ["-a.png"]}),
        ("predict --top 2 -- M -a.png", {"file": "M", "images": ["-a.png"], "top": 2}),
        ("predict M --top 3 -- a.png -- --top", {"images": ["a.png", "--", "--top"], "top": 3}),
        ("predict M a.png --threads 1 b.png -- -c.png", {"images": ["a.png", "b.png", "-c.png"], "threads": 1}),
        ("verify a.h5 --threads 1 -- b.h5", {"checkpoint": "a.h5", "packed": "b.h5"}),
        ("evaluate M --threads 1 --", {"file": "M", "threads": 1}),
        ("predict -- M -a.png", {"file": "M", "images": ["-a.png"]}),
        ("train -- -photos", {"images": "-photos"}),
        ("trace M --html x.html a.png", {"file": "M", "image": "a.png", "html": "x.html"}),
        ("trace --model quick a.png", {"file": None, "image": "a.png"}),
        ("train --epochs 3 photos", {"images": "photos", "epochs": 3}),
        ("data build a --classes 3 b", {"source": "a", "out": "b"}),
    ],
)
def test_options_may_stand_between_the_other_words(line, expected):
    found = vars(cli.parser().parse_args(line.split()))
    assert {name: found[name] for name in expected} == expected


def test_debug_shows_where_an_error_comes_from(monkeypatch):
    monkeypatch.setenv("BINNET_DEBUG", "1")
    with pytest.raises(container.StorageError):
        main(["summary", "none.h5"])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "not enough memory"),
        (MemoryError("unable to allocate 4 TB"), "not enough memory (unable to allocate 4 TB)"),
        (FileNotFoundError(2, "No such file or directory", "x/y"), "x/y: No such file or directory"),
        (OSError("the disk is on fire"), "the disk is on fire"),
        (ValueError("two\n   lines"), "two lines"),
        (OverflowError("too large"), "too large"),
    ],
)
def test_errors_are_one_line(say, monkeypatch, error, sentence):
    def fail(*args):
        raise error

    monkeypatch.setattr("binnet.evaluation.evaluate.open_model", fail)
    assert say("summary", "x") == (1, "", f"binnet: error: {sentence}\n")


def test_a_reader_that_has_seen_enough():
    argv = [sys.executable, "-m", "binnet", "summary", "--model", "lenet5"]
    serial = {**os.environ, "NUMBA_NUM_THREADS": "1"}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=serial)
    with process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def idx(array):
    """An idx file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx_folder(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 20), ("t10k", 10)):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (n, 28, 28), np.uint8)))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8) % 10))


@pytest.fixture(scope="module")
def bad(trained, tmp_path_factory):
    """A folder with a model, a checkpoint, and invalid files of many kinds."""
    folder = tmp_path_factory.mktemp("bad")
    run = trained[0]
    for name in ("packed.h5", "best.h5"):
        (folder / name).write_bytes((run / name).read_bytes())
    packed = (folder / "packed.h5").read_bytes()
    (folder / "empty.h5").write_bytes(b"")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.h5").write_bytes(packed[:20_000])
    middle = len(packed) // 2
    (folder / "flipped.h5").write_bytes(packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :])
    (folder / "text.h5").write_text("no model\n")
    with h5py.File(folder / "other.h5", "w") as file:
        file["images"] = np.zeros((3, 8, 8))
    (folder / "later.h5").write_bytes(packed.replace(b"version 2\n", b"version 99\n", 1))
    kind, arrays, description = container.load(folder / "packed.h5")
    container.save(folder / "shape.h5", kind, {**arrays, "conv2.alpha": np.zeros(3, np.float32)}, description)
    container.save(folder / "less.h5", kind, {n: a for n, a in arrays.items() if n != "conv2.signs"}, description)
    binnet.pack(models.build("lenet5", in_channels=1, image_size=8), mean=0.5, std=1).save(folder / "nameless.h5")
    binnet.pack(models.build("lenet5", in_channels=1, image_size=8)).save(folder / "raw.h5")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)).save(folder / "good.png")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:60])
    (folder / "text.png").write_text("no image\n")
    (folder / "folder").mkdir()
    (folder / "no-last").mkdir()
    (folder / "packed-run").mkdir()
    (folder / "packed-run" / "last.h5").write_bytes(packed)
    (folder / "cut-run").mkdir()
    (folder / "cut-run" / "last.h5").write_bytes((folder / "best.h5").read_bytes()[:5000])
    (folder / "broken.toml").write_text("epochs = = 3\n")
    (folder / "unknown.toml").write_text("epoch = 3\n")
    (folder / "type.toml").write_text('epochs = "three"\n')
    (folder / "word.toml").write_text('optimizer = "rmsprop"\n')
    write_idx_folder(folder / "idx")
    write_idx_folder(folder / "idx-cut")
    (folder / "idx-cut" / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((10, 28, 28), np.uint8))[:5000])
    write_idx_folder(folder / "idx-size")
    (folder / "idx-size" / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((20, 8, 8), np.uint8)))
    return folder


BAD = [
    # (arguments, where {} is the folder above; what the message says)
    ("", "arguments are required: COMMAND"),
    ("fly", "invalid choice: 'fly'.*train"),
    ("evaluate", "the following arguments are required: FILE"),
    ("evaluate {}/none.h5", "there is no file .*none.h5"),
    ("evaluate {}/folder", "is a folder, expected a model file"),
    ("evaluate {}/empty.h5", "is empty, expected a model file"),
    ("evaluate {}/cut.h5", r"is damaged: it has 20,000 bytes, but was written with [\d,]+$"),
    ("evaluate {}/flipped.h5", "is damaged: .* checksum"),
    ("evaluate {}/text.h5", r"is not a model file \(not HDF5\)"),
    ("evaluate {}/good.png", r"is not a model file \(not HDF5\)"),
    ("evaluate {}/other.h5", "is an HDF5 file, but neither a binnet checkpoint nor a binnet packed model"),
    ("evaluate {}/later.h5", "has format version 99, this binnet reads version 2"),
    ("evaluate {}/shape.h5", r"is damaged: conv2.alpha must be float32 \(50,\), got float32 \(3,\)"),
    ("evaluate {}/less.h5", "is damaged: conv2.signs is missing"),
    ("evaluate {}/nameless.h5", "does not say what it was trained on; name the data with --dataset or --data"),
    ("evaluate {}/raw.h5 --dataset digits", "raw.h5 does not say how images are normalised"),
    ("predict {}/raw.h5 {}/good.png", "raw.h5 does not say how images are normalised"),
    ("trace {}/raw.h5 {}/good.png", "raw.h5 does not say how images are normalised"),
    ("evaluate {}/packed.h5 --dataset letters", "--dataset: invalid choice: 'letters' .*digits"),
    (
        "evaluate {}/packed.h5 --dataset fashion-mnist --data {}/idx",
        "the model takes 8x8x1 images, but fashion-mnist has 28x28x1",
    ),
    ("evaluate {}/packed.h5 --dataset mnist --data {}/none", "expected a folder .* at .*none, but there is nothing"),
    ("evaluate {}/packed.h5 --dataset mnist --data {}/folder", "expected one of train-images-idx3-ubyte"),
    ("evaluate {}/packed.h5 --dataset mnist --data {}/good.png", "expected a folder .*, but there is a file"),
    ("evaluate {}/packed.h5 --dataset mnist --data {}/idx-cut", "expected 7856 bytes in .*, but the file has 5000"),
    ("evaluate {}/packed.h5 --dataset mnist --data {}/idx-size", r"expected uint8 images \(N, 28, 28\) in"),
    ("evaluate {}/packed.h5 --dataset cifar10 --data {}/idx", "expected .*cifar"),
    ("evaluate {}/packed.h5 --data {}/idx", "expected images .* in .*idx, but there are none among 4 files"),
    ("evaluate {}/packed.h5 --batch-size 0", "batch_size must be a whole number of at least 1, got 0"),
    ("evaluate {}/packed.h5 --batch-size many", "--batch-size: invalid int value: 'many'"),
    ("evaluate {}/packed.h5 --threads 0", "the number of threads must be a whole number from 1 to .*, got 0"),
    ("evaluate {}/packed.h5 --threads 1000", "the number of threads .*, got 1000"),
    ("evaluate {}/packed.h5 --threads x", "--threads: invalid int value: 'x'"),
    ("evaluate {}/packed.h5 --colour", "unrecognized arguments: --colour"),
    ("predict {}/packed.h5", "the following arguments are required: IMAGE"),
    ("predict photo.JPG", "photo.JPG is an image, not a model: give a model file before it, or --model NAME with"),
    ("predict {}/none.h5 {}/good.png", "there is no file"),
    ("predict {}/packed.h5 {}/none.png", "expected an image at .*none.png, but there is no such file"),
    ("predict {}/packed.h5 {}/empty.png", "expected an image at .*, but the file is empty"),
    ("predict {}/packed.h5 {}/text.png", "expected an image .* but it is none of these"),
    ("predict {}/packed.h5 {}/cut.png", "expected a whole image at .*cut.png, but decoding it failed"),
    ("predict {}/packed.h5 {}/folder", "expected images in .*folder, but there are none"),
    ("predict {}/packed.h5 {}/packed.h5", "expected an image .* but it is none of these"),
    ("predict {}/packed.h5 {}/good.png --top 0", "--top must be at least 1, got 0"),
    ("predict {}/packed.h5 {}/good.png --top -3", "--top must be at least 1, got -3"),
    ("predict {}/packed.h5 {}/good.png --top x", "--top: invalid int value: 'x'"),
    ("summary", "summary takes either a FILE or --model NAME"),
    ("summary {}/packed.h5 --model lenet5", "summary takes either a FILE or --model NAME"),
    ("summary --model quick-tiny20", "--model takes the name of a network, and quick-tiny20 is a trained model"),
    ("summary --model {}/packed.h5", "--model takes a name, not a file: give .*packed.h5 without --model, as FILE"),
    ("predict --model {}/packed.h5 {}/good.png", "--model takes a name, not a file: give .*packed.h5 without --model"),
    ("trace --model {}/packed.h5 {}/good.png", "--model takes a name, not a file: give .*packed.h5 without --model"),
    ("summary {}/text.h5", "is not a model file"),
    ("summary --model vgg", "unknown model 'vgg'; there are: lenet5, "),
    ("summary --model lenet5 --binarize ternary", "--binarize: invalid choice: 'ternary' .*xnor"),
    ("summary --model lenet5 --num-classes 0", "num_classes must be a whole number, at least 1, got 0"),
    ("summary --model lenet5 --image-size 2", "lenet5 needs images of at least 4x4 pixels, got 2x2"),
    ("summary --model lenet5 --image-size 0", "image_size must be an int or a pair of ints, each at least 1, got 0"),
    ("pack {}/best.h5", "the following arguments are required: OUT"),
    ("pack {}/packed.h5 {}/new.h5", "packed.h5 is packed already, expected a checkpoint such as best.h5"),
    ("pack {}/none.h5 {}/new.h5", "there is no file"),
    ("pack {}/best.h5 {}/folder", "cannot write .*folder: it is not a file, and cannot be replaced by one"),
    ("pack {}/best.h5 {}/text.h5/new.h5", "cannot write .*new.h5: "),
    ("pack {}/best.h5 /dev/full", "cannot write /dev/full: it is not a file"),
    ("pack {}/best.h5 {}/best.h5", "is the checkpoint itself; choose another name"),
    ("train --epochs 0", "--epochs must be a whole number of at least 1, got 0"),
    ("train --epochs -1", "--epochs must be a whole number of at least 1, got -1"),
    ("train --epochs x", "--epochs: invalid int value: 'x'"),
    ("train --epochs 1.5", "--epochs: invalid int value: '1.5'"),
    ("train --lr nan", "--lr must be a finite number of at least 0, got nan"),
    ("train --lr inf", "--lr must be a finite number of at least 0, got inf"),
    ("train --lr -1", "--lr must be a finite number of at least 0, got -1.0"),
    ("train --batch-size 0", "--batch-size must be a whole number of at least 1, got 0"),
    ("train --seed -1", "--seed must be a whole number of at least 0, got -1"),
    ("train --momentum 1", "--momentum must be a number of at least 0 and below 1, got 1.0"),
    (
        "train --model vgg",
        "unknown --model 'vgg'; there are: lenet5, .*; or FILE.py:FUNCTION for a network of",
    ),
    ("train --model {}/none.py:build", "there is no file .*none.py"),
    ("train --model {}/good.png", "unknown --model '.*good.png'; there are: lenet5"),
    ("train --init {}/text.h5", r"text.h5 is not a model file \(not HDF5\)"),
    ("train --init {}/cut-run/last.h5", "last.h5 is damaged: it has 5,000 bytes, but was written with "),
    ("train --init {}/folder", "is a folder, expected a model file"),
    ("train --init {}/packed.h5 --freeze-until conv8", "unknown layer 'conv8' in --freeze-until; there are: conv1"),
    ("train --body-lr 0.1", "--body-lr needs --init"),
    ("train --dataset letters", "--dataset: invalid choice: 'letters' .*digits"),
    ("train --pad-value 2", r"--pad-value: invalid choice: '?2'? \(choose from '?0'?, '?1'?, '?-1'?\)"),
    ("train --use-k yes", "expected a folder of images or an archive at yes, but there is nothing"),
    ("train --worker-timeout nan", "--worker-timeout must be at least 3 seconds, got nan"),
    ("train --threads 0", "the number of threads .*, got 0"),
    ("train --threads 1000", "the number of threads .*, got 1000"),
    ("train --warmup-epochs 99", r"--warmup-epochs must be at most --epochs \(50\), got 99"),
    ("train --crop-pad 8", "--crop-pad must be less than the image of 8x8 pixels, got 8"),
    ("train --optimizer sgd --nesterov --momentum 0", "nesterov needs a momentum above 0"),
    ("train --config {}/none.toml", "cannot read the config file .*none.toml: No such file"),
    ("train --config {}/folder", "cannot read the config file .*folder: Is a directory"),
    ("train --config {}/broken.toml", "broken.toml is not a TOML file: .*line 1"),
    ("train --config {}/packed.h5", "packed.h5 is not a TOML file"),
    ("train --config {}/unknown.toml", "unknown option 'epoch'; there are: .*epochs"),
    ("train --config {}/type.toml", "--epochs must be a whole number of at least 1, got 'three'"),
    ("train --config {}/word.toml", "unknown --optimizer 'rmsprop'; there are: adam, sgd"),
    ("train --config=", "cannot read the config file"),
    ("train --data {}/idx", "expected images .* in .*idx, but there are none among 4 files"),
    ("train --dataset mnist --data {}/folder", "expected one of train-images-idx3-ubyte"),
    ("train --dataset mnist --data {}/idx-cut", "expected 7856 bytes in .*, but the file has 5000"),
    ("train --out /dev/null/x", "cannot write to the folder /dev/null/x: Not a directory"),
    ("train --out {}/text.h5", "--out must be a folder, but .*text.h5 is a file"),
    ("train --out {}/packed-run", "already holds a training; continue with --resume .*, or choose another --out"),
    ("train --resume {}/none", "there is nothing to resume in .*none: it holds no last.h5"),
    ("train --resume {}/no-last", "there is nothing to resume in .*no-last: it holds no last.h5"),
    ("train --resume {}/text.h5", "there is nothing to resume in .*: it holds no last.h5"),
    ("train --resume=", "there is nothing to resume in .: it holds no last.h5"),
    ("train --resume {}/packed-run", "last.h5 is a binnet packed model, expected a binnet checkpoint"),
    ("train --resume {}/cut-run", "last.h5 is damaged: it has 5,000 bytes, but was"),
    ("train --resume {}/packed-run --epochs 5", "is a binnet packed model, expected a binnet checkpoint"),
]


def arguments(line, folder):
    return [word.replace("{}", str(folder)) for word in line.split()]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line or "nothing" for line, _ in BAD])
def test_bad_input_gets_one_clear_sentence(line, message, bad, say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in bad.rglob("*")}
    code, out, err = say(*arguments(line, bad))
    assert code in (1, 2)
    assert out == ""
    assert len(err.splitlines()) == 1
    assert re.match(r"binnet( \w+)?: error: ", err)
    assert re.search(message, err)
    assert "Traceback" not in err
    assert {path: path.stat().st_mtime_ns for path in bad.rglob("*")} == before
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("line", ["evaluate {}/flipped.h5", "predict {}/packed.h5 {}/cut.png", "train --epochs x"])
def test_bad_input_in_a_process_of_its_own(line, bad):
    done = command(*arguments(line, bad))
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("binnet")


def test_a_folder_that_may_not_be_written_to(tmp_path, say):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    code, out, err = say("train", "--epochs", 1, "--out", tmp_path / "run")
    tmp_path.chmod(0o700)
    assert (code, out) == (1, "")
    assert err == f"binnet: error: cannot write to the folder {tmp_path / 'run'}: Permission denied\n"


def test_a_training_that_cannot_begin_leaves_no_empty_folder(run, tmp_path, say):
    (tmp_path / "mine").mkdir()
    for name in ("run", "mine"):
        flags = ["--init", run / "packed.h5", "--freeze-until", "conv8", "--out", tmp_path / name]
        assert say("train", *flags)[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    code, _, err = say("train", "--out", "")
    assert (code, err) == (1, "binnet: error: --out must name a folder, got an empty name\n")


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path, say):
    (tmp_path / "config.toml").write_text("# somebody else's\n")
    code, _, err = say("train", "--epochs", 1, "--out", tmp_path)
    assert code == 1
    assert "already holds a training" in err
    assert (tmp_path / "config.toml").read_text() == "# somebody else's\n"
