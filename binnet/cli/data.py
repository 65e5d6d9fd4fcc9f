"""``binnet data``."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import binnet_datasets
from binnet_datasets.sources.classes import about_unused
from binnet_datasets.sources.splits import LAYOUTS
from binnet_datasets.store.twins import about_twins

from ..console import Console
from ..evaluation.loading import images_done
from . import options

if TYPE_CHECKING:
    from binnet_datasets.store.reading import Store
    from binnet_datasets.store.report import Report

HELP = "build image stores for training, and inspect them"
_SHOWN = 20  # maximum number of rows of a list
_VAL = (
    "validation images, instead of those of the source: the share of each class's training images to hold out (such as "
    "0.1, the default for a source without any), a folder or archive of images, or the file with the classes of "
    "images in one flat folder (val_annotations.txt, LOC_val_solution.csv, or ILSVRC2012_validation_ground_truth.txt "
    "beside meta.mat); may be given twice, for images and classes"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands build and info."""
    kinds = parser.add_subparsers(title="what to do", metavar="WHAT", dest="what", required=True)
    for name, text, add, do in (
        (
            "build",
            "build a store from the images in a folder or archive, or continue a build that was stopped",
            _add_build,
            _build,
        ),
        ("info", "show the contents of a store, and draw a contact sheet of its images", _add_info, _info),
    ):
        sub = kinds.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add(sub)
        options.add_json(sub)
        sub.set_defaults(do=do)


def run(arguments: argparse.Namespace) -> int:
    """Build or inspect a store, and return the exit code."""
    result: int = arguments.do(arguments, Console(to_stderr=arguments.json))
    return result


def _add_build(parser: argparse.ArgumentParser) -> None:
    source = (
        "folder, zip or tar, compressed or not: train/CLASS/... with val/CLASS/... or a flat val, as in ImageNet and "
        "Tiny-ImageNet, or a folder for each class; a tar of tars need not be unpacked"
    )
    parser.add_argument("source", metavar="SOURCE", help=source)
    parser.add_argument("out", metavar="OUT.h5", help="the store to write")
    classes = "classes to use: the first N by id, ids separated by commas, or a text file of ids (default: all)"
    parser.add_argument("--classes", metavar="N|LIST|FILE", help=classes)
    text = "maximum number of images per class, in the order of their names"
    parser.add_argument("--per-class", type=int, metavar="M", help=text)
    parser.add_argument("--val", action="append", default=[], metavar="SHARE|PATH", help=_VAL)
    layout = "whether folders such as train and val are splits or classes, where both are possible (default: detect)"
    parser.add_argument("--layout", choices=LAYOUTS, help=layout)
    size = "short side of the stored images in pixels (default: the median of the source, at most 256)"
    parser.add_argument("--size", type=int, metavar="N", help=size)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="1 for grey, 3 for colour (default: 3)")
    text = "random seed for the choice of held-out images (default: 0)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=text)
    corrupt = "share of corrupt images above which the build fails (default: 0.01, but at least 3 images)"
    parser.add_argument("--max-corrupt", type=float, metavar="SHARE", help=corrupt)
    parser.add_argument("--jobs", type=int, metavar="N", help="number of decoding threads (default: all cores)")


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="image store")
    parser.add_argument("--preview", metavar="FILE.png", help="draw some images of each class into this file")
    parser.add_argument("--check", action="store_true", help="read all pixels and verify their checksums")


def _build(arguments: argparse.Namespace, console: Console) -> int:
    a, start = arguments, time.monotonic()
    wanted = binnet_datasets.BuildOptions(
        size=a.size,
        channels=a.channels,
        classes=a.classes,
        per_class=a.per_class,
        val=tuple(a.val),
        seed=a.seed,
        layout=a.layout,
    )
    with images_done(console) as done:
        report = binnet_datasets.build_store(
            a.source,
            a.out,
            wanted,
            max_corrupt=a.max_corrupt,
            jobs=a.jobs,
            progress=done,
            notes=console.say,
        )
    seconds = time.monotonic() - start
    # Corrupt images are part of the result, not an error: build_store has raised if they are too many.
    if a.json:
        figures = {"path": str(report.path), "train": report.train, "val": report.val, "corrupt": report.corrupt}
        print(json.dumps({**figures, "fresh": report.fresh, "seconds": seconds}))
        return 0
    _say_built(report, seconds, console)
    return 0


def _say_built(report: Report, seconds: float, console: Console) -> None:
    images = f"{report.train:,} training and {report.val:,} validation images"
    size = f"{report.path.stat().st_size / 1e6:,.0f} MB"
    if report.fresh:
        console.say(f"{report.path}: {images}, {size}, in {seconds:.1f} s")
    else:
        console.say(f"{report.path} is there already, with the same {images}")
    _say_corrupt(report.corrupt, console)


def _say_corrupt(corrupt: Any, console: Console) -> None:
    if corrupt:
        console.say(f"{len(corrupt):,} corrupt images were left out:")
    for name, reason in corrupt[:_SHOWN]:
        console.say(f"  {name}: {reason}")
    if len(corrupt) > _SHOWN:
        console.say(f"  and {len(corrupt) - _SHOWN:,} more; binnet data info --json lists them all")


def _info(arguments: argparse.Namespace, console: Console) -> int:
    # Damaged images make the exit code 1, so that --check can be used in scripts.
    store = binnet_datasets.read_store(arguments.store)
    damaged = _damaged(store) if arguments.check else []
    if arguments.preview:
        binnet_datasets.contact_sheet(store.dataset, arguments.preview)
    if arguments.json:
        print(json.dumps({**_figures(store), **({"damaged": damaged} if arguments.check else {})}))
        return 1 if damaged else 0
    _say_info(arguments.store, store, console)
    if arguments.check:
        console.say(f"damaged images: {', '.join(damaged)}" if damaged else "no image is damaged")
    if arguments.preview:
        console.say(f"preview: {arguments.preview}")
    return 1 if damaged else 0


def _damaged(store: Store) -> list[str]:
    """Names of the images whose pixels do not match their checksums."""
    return [images.names[i] for images in (store.train, store.val) for i in images.damaged()]


def _figures(store: Store) -> dict[str, Any]:
    """Description, image counts, sizes and checksum of a store as JSON values."""
    data = store.dataset
    figures = {
        part: {
            "images": len(split),
            "rows": _ends(split.sizes[:, 0]),
            "columns": _ends(split.sizes[:, 1]),
            "images_of_class": np.bincount(split.labels, minlength=data.num_classes).tolist(),
        }
        for part, split in (("train", data.train), ("val", data.test))
    }
    return {**store.description, **figures, "checksum": store.checksum, "bytes": store.bytes}


def _ends(sizes: NDArray[np.int64]) -> list[int]:
    """Minimum and maximum; zeros for an empty array."""
    return [int(sizes.min()), int(sizes.max())] if len(sizes) else [0, 0]


def _say_info(path: str, store: Store, console: Console) -> None:
    figures, data = _figures(store), store.dataset
    console.say(f"{path}: image store of {data.name}, {store.bytes / 1e6:,.0f} MB")
    for part, name in (("train", "training"), ("val", "validation")):
        own = figures[part]
        if not own["images"]:
            console.say(f"no {name} images")
            continue
        counts, sides = (
            own["images_of_class"],
            ("-".join(map(str, sorted(set(own[side])))) for side in ("rows", "columns")),
        )
        # A range such as 480-500, or one number where both ends are equal.
        each = "-".join(f"{n:,}" for n in sorted({min(counts), max(counts)}))
        shape = " x ".join((*sides, str(data.channels)))
        console.say(f"{own['images']:,} {name} images of {data.num_classes} classes, {each} of each; pixels: {shape}")
    mean, std = ([f"{v:.4f}" for v in values] for values in data.mean_std())
    console.say(f"mean {' '.join(mean)}, standard deviation {' '.join(std)}")
    counts = [figures[part]["images_of_class"] for part in ("train", "val")]
    names = list(zip(data.class_names, data.class_ids, *counts, strict=True))[:_SHOWN]
    rows = [[str(i), name, class_id, f"{train:,}", f"{val:,}"] for i, (name, class_id, train, val) in enumerate(names)]
    console.say("")
    console.table(["label", "class", "id", "training", "validation"], rows)
    if data.num_classes > _SHOWN:
        console.say(f"and {data.num_classes - _SHOWN:,} more; --json lists them all")
    _say_corrupt(store.description["corrupt"], console)
    for sentence in about_unused((name, reason) for name, reason in store.description.get("unused", ())):
        console.say(sentence)
    for sentence in about_twins(store.description):
        console.say(sentence)
