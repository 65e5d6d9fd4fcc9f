"""How much a model to begin with is worth for few photographs: the second table of fine-tuning in docs/training.md.

    python docs/make_finetuning.py FOLDER MODEL [--classes 5,20] [--images 20,50,100] [--draws 3] [--time-budget 60s]

FOLDER has a folder of images for each class. A draw takes the first classes and, at random, so many images of each to
train on, 20 to choose the epoch, and all others to test. From each draw two networks are trained for the same time:
MODEL with ``--recipe finetune``, and its network from random weights with ``--recipe imagenet-64``. A finished training
is not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import tomli_w

import binnet
from binnet import models
from binnet.modelfile import StorageError
from binnet.nn.options import CHOICES

CHOSEN = 20  # images of each class that choose the epoch
TYPES = {".jpg", ".jpeg", ".png", ".bmp"}


def draw(folder: Path, out: Path, classes: int, images: int, seed: int) -> None:
    """Link the images of a draw into ``out/train``, ``out/val`` and ``out/test``, with a folder for each class.

    SystemExit when there are fewer classes, or when no image of a class is left to test; nothing is written then.
    """
    if not folder.is_dir():
        raise SystemExit(f"there is no folder {folder}")
    rng = np.random.default_rng(seed)
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(found) < classes:
        raise SystemExit(f"{folder} must have at least {classes} folders of images, got {len(found)}")
    links: dict[Path, Path] = {}
    for path in found[:classes]:
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in TYPES)
        if len(files) <= images + CHOSEN:
            raise SystemExit(f"{path} must have more than {images} + {CHOSEN} images, got {len(files)}")
        mixed = [files[i] for i in rng.permutation(len(files))]
        parts = {"train": mixed[:images], "val": mixed[images : images + CHOSEN], "test": mixed[images + CHOSEN :]}
        links |= {
            out / part / path.name / file.name: file.resolve() for part, chosen in parts.items() for file in chosen
        }
    there = [link for part in ("train", "val", "test") for link in (out / part).glob("*/*")]
    if any(link.resolve() != links.get(link) for link in there):
        raise SystemExit(f"{out} has another draw: choose another --out")
    for link in links.keys() - set(there):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(links[link])


def accuracy(place: Path, images: Path, seed: int, words: list[str]) -> float:
    """Train in ``place``, unless that was done before; top-1 of its packed model on the test images, per cent."""
    result = place / "test.json"
    if not result.is_file():
        _binnet("train", images, "--layout", "splits", "--seed", seed, "--out", place, "--quiet", *words)
        text = _binnet("evaluate", place, "--data", images / "test", "--layout", "classes", "--json")
        result.write_text(text, encoding="utf-8")
    return 100 * float(json.loads(result.read_text(encoding="utf-8"))["top1"])


def _binnet(*words: Any) -> str:
    done = subprocess.run([sys.executable, "-m", "binnet", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def beginnings(model: str, both: list[str], out: Path) -> dict[str, list[str]]:
    """The options of the two trainings, ``both`` among them, by the heading of their column.

    The network of the model is described in ``out/network.toml``. SystemExit when the model cannot be read or is not a
    built-in network.
    """
    try:
        built = binnet.load(model).built
    except StorageError as error:
        raise SystemExit(str(error)) from error
    if built is None or built["name"] not in models.names():
        raise SystemExit(f"{model} must be a built-in network, which can be trained from random weights")
    options = {name: value for name, value in built["options"].items() if name in CHOICES}
    own = models.written_own_options(built["name"], built["options"])  # such as width=32
    options |= {} if own is None else {"model_options": own}
    # A file and no words: the command line refuses options that have no effect, which a model may have.
    network = {"model": built["name"], "binarize": built["binarize"], "image_size": built["image_size"][0], **options}
    out.mkdir(parents=True, exist_ok=True)
    (out / "network.toml").write_text(tomli_w.dumps(network), encoding="utf-8")
    return {
        "random weights": [*both, "--recipe", "imagenet-64", "--config", str(out / "network.toml")],
        model: [*both, "--recipe", "finetune", "--init", model],
    }


def _cell(values: list[float]) -> str:
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description="Compare fine-tuning with training from random weights.")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a folder of images for each class")
    text = "model to begin with: its file, or the name of one that comes with binnet"
    parser.add_argument("model", metavar="MODEL", help=text)
    parser.add_argument("--classes", metavar="N,N", default="5,20", help="numbers of classes (default: %(default)s)")
    text = "numbers of images of each class to train on (default: %(default)s)"
    parser.add_argument("--images", metavar="N,N", default="20,50,100", help=text)
    text = "random draws of each of these (default: %(default)s)"
    parser.add_argument("--draws", metavar="N", type=int, default=3, help=text)
    parser.add_argument("--time-budget", metavar="TIME", default="60s", help="of a training (default: %(default)s)")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="of a training (default: %(default)s)")
    text = "folder for the draws and trainings (default: %(default)s)"
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs/finetuning"), help=text)
    arguments = parser.parse_args()
    both = ["--time-budget", arguments.time_budget, "--threads", str(arguments.threads)]
    starts = beginnings(arguments.model, both, arguments.out)
    places: dict[tuple[int, int], list[Path]] = {}
    for classes in map(int, arguments.classes.split(",")):
        for images in map(int, arguments.images.split(",")):
            places[classes, images] = draws = []
            for seed in range(1, arguments.draws + 1):
                draws.append(arguments.out / f"{classes}-classes-{images}-images-{seed}")
                draw(arguments.folder, draws[-1], classes, images, seed)
    print("| classes | images of each | " + " | ".join(starts) + " |\n|---:|---:|" + "---:|" * len(starts))
    for (classes, images), draws in places.items():
        found: dict[str, list[float]] = {name: [] for name in starts}
        for seed, place in enumerate(draws, 1):
            for name, words in starts.items():
                run = place / f"run-{name.replace(' ', '-')}-{arguments.time_budget}"
                found[name].append(accuracy(run, place, seed, words))
        cells = " | ".join(_cell(values) for values in found.values())
        print(f"| {classes} | {images} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
