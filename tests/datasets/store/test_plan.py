"""Which images, classes and validation images are found in the layouts that people have."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

import pytest

from binnet_datasets import BuildOptions, DataError, is_system_name
from binnet_datasets.store.plan import Plan, make_evaluation_plan, make_plan


def plan(source: Path, **options) -> Plan:
    return make_plan(source, BuildOptions(**options))


def rows(entries) -> list[tuple[str, str]]:
    return [(entry.name.rsplit("/", 1)[-1], entry.class_id) for entry in entries]


@pytest.fixture
def expected(imagenet) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """File names and classes of training and validation images."""
    names = sorted(name.split("/") for name in imagenet if "/" in name)
    train, val = ([(name, wnid) for p, wnid, name in names if p == part] for part in ("train", "val"))
    return train, val


def tiny(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same images in Tiny-ImageNet's layout."""
    out = {"tiny/wnids.txt": b"n01\nn02\nn03\n", "tiny/words.txt": files["words.txt"]}
    lines = []
    for name, content in files.items():
        part, _, rest = name.partition("/")
        if part == "train":
            wnid, file = rest.split("/")
            out[f"tiny/train/{wnid}/images/{file}"] = content
            out[f"tiny/train/{wnid}/{wnid}_boxes.txt"] = b"n01_0.JPEG\t0\t10\t63\t58\n"
        elif part == "val":
            wnid, file = rest.split("/")
            out[f"tiny/val/images/{file}"] = content
            out[f"tiny/test/images/test_{file}"] = content
            lines.append(f"{file}\t{wnid}\t0\t3\t63\t57\n")
    return out | {"tiny/val/val_annotations.txt": "".join(reversed(lines)).encode()}


def kaggle(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same images as ILSVRC comes from Kaggle."""
    out = {"LOC_synset_mapping.txt": files["words.txt"].replace(b"\t", b" ")}
    lines = ["ImageId,PredictionString\n"]
    for name, content in files.items():
        part, _, rest = name.partition("/")
        if part == "train":
            out[f"ILSVRC/Data/CLS-LOC/train/{rest}"] = content
            out[f"ILSVRC/Annotations/CLS-LOC/train/{rest}.xml"] = b"<xml/>"
        elif part == "val":
            wnid, file = rest.split("/")
            out[f"ILSVRC/Data/CLS-LOC/val/{file}"] = content
            out[f"ILSVRC/Data/CLS-LOC/test/test_{file}"] = content
            lines.append(f"{file[:-4]},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n")
    return out | {"LOC_val_solution.csv": "".join(lines).encode()}


def test_evaluation_of_tiny_imagenet(imagenet, write, tmp_path: Path) -> None:
    """Its val/images and test/images are no classes; those of the validation images are in a file."""
    expected = Counter(name.split("/")[1] for name in imagenet if name.startswith("val/"))
    source = write(tmp_path, tiny(imagenet))
    found = make_evaluation_plan(source, BuildOptions())
    assert Counter(entry.class_id for entry in found.val) == expected
    assert {entry.name.split("/")[1] for entry in found.val} == {"val"}
    with pytest.raises(DataError, match="expected a folder for each class"):
        make_evaluation_plan(source, BuildOptions(), "test")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", [dict, tiny, kaggle])
def test_layouts_with_validation(tmp_path: Path, imagenet, expected, write, to_tar, layout, packed: bool) -> None:
    files = layout(imagenet)
    if packed:
        (tmp_path / "source.tar").write_bytes(to_tar(dict(reversed(files.items()))))
    source = tmp_path / "source.tar" if packed else write(tmp_path / "source", files)
    found = plan(source)
    assert sorted(rows(found.train)) == expected[0]
    assert sorted(rows(found.val)) == expected[1]
    assert found.class_ids == ("n01", "n02", "n03")
    assert found.class_names == ("goldfish", "crane, bird", "crane, machine")
    assert found.name == "source"
    classes = "3 classes (training + validation images): goldfish 6 + 2, crane, bird 6 + 2, crane, machine 6 + 2"
    assert found.notes[0] == classes
    assert found.notes[1].startswith("some classes have fewer than 5 validation images")


@pytest.mark.parametrize("word", ["valid", "Validation", "test"])
def test_other_words_for_validation(tmp_path: Path, imagenet, expected, write, word: str) -> None:
    source = write(tmp_path, {name.replace("val/", word + "/"): content for name, content in imagenet.items()})
    assert rows(plan(source).val) == expected[1]


def test_a_class_may_be_called_train(tmp_path: Path, picture, write) -> None:
    files = {f"{name}/{i}.png": picture(i) for i in range(3) for name in ("bus", "train", "val")}
    found = plan(write(tmp_path / "source", files))
    assert found.class_ids == ("bus", "train", "val")


@pytest.mark.parametrize("wrapped", ["", "one/", "one/two/"])
def test_class_folders_alone_hold_a_tenth_out(tmp_path: Path, picture, write, wrapped: str) -> None:
    files = {f"{wrapped}{name}/{i:02}.jpg": picture(i, format="JPEG") for i in range(20) for name in ("cat", "dog")}
    source = write(tmp_path / "pets", {**files, f"{wrapped}cat/notes.txt": b"", f"{wrapped}cat/.hidden.jpg": b""})
    found = plan(source)
    assert {entry.class_id for entry in found.val} == {"cat", "dog"}
    assert 2 <= len(found.val) <= 10
    assert sorted(e.name for e in found.train + found.val) == sorted(files)
    held = f"held {len(found.val)} of the 40 training images out for validation"
    assert found.notes[0] == f"{held}; their content decides, for 10% on average"
    assert found.unused == (
        (f"{wrapped}cat/.hidden.jpg", "hidden, or a file or folder of the system"),
        (f"{wrapped}cat/notes.txt", "no image"),
    )
    assert found.class_names == ("cat", "dog")
    assert found == plan(source)
    assert plan(source, seed=1).val != found.val


def test_a_share_to_hold_out_comes_before_what_the_source_has(tmp_path: Path, imagenet, write) -> None:
    found = plan(write(tmp_path, imagenet), val=("0.34",))
    assert len(found.train) + len(found.val) == 18
    assert 3 <= len(found.val) <= 10
    assert all(entry.name.startswith("train/") for entry in found.val)


def test_at_least_one_image_is_held_out_and_never_all(tmp_path: Path, picture, write) -> None:
    source = write(tmp_path, {**{f"a/{i}.png": picture(i) for i in range(2)}, "b/1.png": picture(3)})
    found = plan(source)
    assert [[e.class_id for e in part] for part in (found.train, found.val)] == [["a", "b"], ["a"]]
    assert [e.class_id for e in plan(source, val=("0.99",)).train] == ["a", "b"]


def test_ilsvrc_tars_as_they_come(tmp_path: Path, imagenet, expected, to_tar) -> None:
    train: dict[str, dict[str, bytes]] = {}
    val = {}
    for name, content in imagenet.items():
        part, *rest = name.split("/")
        if part == "train":
            train.setdefault(rest[0], {})[rest[1]] = content
        elif part == "val":
            val[rest[1]] = content
    tars = {f"{wnid}.tar": to_tar(files) for wnid, files in train.items()}
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(to_tar(tars))
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(to_tar(val))
    (tmp_path / "words.txt").write_bytes(imagenet["words.txt"])
    truth = tmp_path / "solution.csv"
    truth.write_text("ImageId,PredictionString\n" + "".join(f"{n[:-4]},{w} 1 1 1 1 \n" for n, w in expected[1]))
    source, images = tmp_path / "ILSVRC2012_img_train.tar", str(tmp_path / "ILSVRC2012_img_val.tar")
    found = plan(source, val=(str(truth), images))
    assert rows(found.train) == expected[0]
    assert rows(found.val) == expected[1]
    assert found.class_names[0] == "goldfish"
    with pytest.raises(DataError, match=r"classes of 6 validation images, .*name the file with --val FILE"):
        plan(source, val=(images,))
    truth.rename(tmp_path / "LOC_val_solution.csv")
    assert rows(plan(source, val=(images,)).val) == expected[1]
    assert rows(plan(tmp_path).val) == expected[1]  # the folder that holds the tars


def test_a_flat_val_without_classes(tmp_path: Path, imagenet, expected, write) -> None:
    files = {n if not n.startswith("val/") else f"val/{n.split('/')[-1]}": c for n, c in imagenet.items()}
    source = write(tmp_path / "source", files)
    with pytest.raises(DataError, match=r"classes of 6 validation images, .*val_annotations.txt.*or hold out"):
        plan(source)
    truth = tmp_path / "elsewhere.txt"
    truth.write_text("".join(f"{name} {wnid}\n" for name, wnid in expected[1]))
    assert rows(plan(source, val=(str(truth),)).val) == expected[1]
    truth.write_text("".join(f"{name} n77\n" for name, wnid in expected[1]))
    with pytest.raises(DataError, match=r"validation images of 3 training classes, but got a class 'n77'"):
        plan(source, val=(str(truth),))
    assert len(plan(source, val=("0.2",)).val) >= 3


def test_val_elsewhere(tmp_path: Path, imagenet, expected, write) -> None:
    train = write(tmp_path / "a", {n[6:]: c for n, c in imagenet.items() if n.startswith("train/")})
    val = write(tmp_path / "b", {n: c for n, c in imagenet.items() if n.startswith("val/")})
    assert rows(plan(train, val=(str(val),)).val) == expected[1]
    assert rows(plan(train, val=(str(val / "val"),)).val) == expected[1]


@pytest.mark.parametrize(
    ("classes", "ids"),
    [("2", ("n01", "n02")), ("n03,n01", ("n01", "n03")), (" n02 , n03,", ("n02", "n03")), ("FILE", ("n01", "n03"))],
)
def test_choice_of_classes(tmp_path: Path, imagenet, write, classes: str, ids: tuple[str, ...]) -> None:
    chosen = tmp_path / "chosen.txt"
    chosen.write_text("n03 some words\n\nn01\n")
    found = plan(write(tmp_path / "s", imagenet), classes=classes.replace("FILE", str(chosen)))
    assert found.class_ids == ids
    assert {entry.class_id for entry in found.train} == {entry.class_id for entry in found.val} == set(ids)


def test_a_file_of_classes_has_one_on_each_line(tmp_path: Path, picture, write) -> None:
    files = {f"{name}/{i}.png": picture(i) for i in range(2) for name in ("golden retriever", "golden", "cat")}
    (tmp_path / "chosen.txt").write_text("golden retriever\nCat\n")
    source = write(tmp_path / "s", files)
    assert plan(source, classes=str(tmp_path / "chosen.txt")).class_ids == ("cat", "golden retriever")
    assert plan(source, classes="Golden Retriever,cat").class_ids == ("cat", "golden retriever")


def test_names_beside_the_source_count_when_they_fit(tmp_path: Path, imagenet, write) -> None:
    names = imagenet.pop("words.txt")
    source = write(tmp_path / "s", imagenet)
    (tmp_path / "words.txt").write_bytes(b"n01\tone\nn77\tother\n")
    assert plan(source).class_names == ("n01", "n02", "n03")
    (tmp_path / "words.txt").write_bytes(names.replace(b"goldfish", b"poisson dor\xe9"))  # Latin-1
    assert plan(source).class_names == ("poisson doré", "crane, bird", "crane, machine")
    (tmp_path / "words.txt").write_text(names.decode(), "utf-16")
    assert plan(source).class_names == ("goldfish", "crane, bird", "crane, machine")
    (source / "words.txt").write_text("n01 is the class I like best\n")
    assert plan(source).class_names == ("n01", "n02", "n03")


def test_all_that_is_not_used_is_counted(tmp_path: Path, picture, write) -> None:
    source = write(tmp_path, {f"{name}/{i}.png": picture(i) for i in range(6) for name in ("cat", "dog")})
    extra = ("stray.png", "cat/1.heic", "cat/notes.txt", ".hidden/1.png", "@eaDir/1.png", "cat/@eaDir/a/1.png", "x.zip")
    write(
        source,
        dict.fromkeys(extra, b"x") | {"$RECYCLE.BIN/1.png": b"", "__MACOSX/cat/._1.png": b"", "runs/a/x.txt": b""},
    )
    for run in ("runs/one", "cat/two"):
        write(source, {f"{run}/{name}": b"" for name in ("config.toml", "metrics.csv", "curves.png")})
    (source / "cat" / "broken.jpg").symlink_to("nowhere")
    (source / "loop").symlink_to("loop")
    (source / "cat" / "again").symlink_to(source / "dog")
    found = plan(source)
    assert found.class_ids == ("cat", "dog")
    assert len(found.train) + len(found.val) == 12
    system = "hidden, or a file or folder of the system"
    assert dict(found.unused) == {
        **dict.fromkeys((".hidden", "@eaDir", "cat/@eaDir", "$RECYCLE.BIN", "__MACOSX"), system),
        "stray.png": "an image that lies in no class folder",
        "cat/1.heic": "HEIC, which cannot be read: convert it to JPEG",
        **dict.fromkeys(("cat/notes.txt", "runs/a/x.txt"), "no image"),
        "x.zip": "a compressed archive inside of a folder: unpack it first",
        **dict.fromkeys(("runs/one", "cat/two"), "written by binnet"),
        "cat/broken.jpg": "a broken link",
        "loop": "a link that cannot be followed",
        "cat/again": "a link to a folder that is listed already",
    }
    assert f"5 files are not used ({system}): $RECYCLE.BIN, .hidden, @eaDir, ..." in found.notes


def test_folders_and_files_that_cannot_be_read_are_named(tmp_path: Path, picture, write, monkeypatch) -> None:
    source = write(tmp_path, {f"{name}/{i}.png": picture(i) for i in range(6) for name in ("cat", "dog/a", "dog/b")})
    real_scan, real_access = os.scandir, os.access

    def scan(path: str):
        if path.endswith("/a"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_scan(path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "access", lambda path, mode: not path.endswith("cat/3.png") and real_access(path, mode))
    found = plan(source)
    assert len(found.train) + len(found.val) == 11
    assert found.unused == (
        ("cat/3.png", "it cannot be read: Permission denied"),
        ("dog/a", "a folder that cannot be read: Permission denied"),
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cow", r"class folder 'cow' of .*, but got none; delete the folder or put images into it"),
        ("cow/1.HEIC", r"class folder 'cow' of .*, but got none \(.*cow/1.HEIC: HEIC, which .* convert it to JPEG\)"),
        ("cow/broken.jpg", r"class folder 'cow' of .*, but got none \(.*cow/broken.jpg: a broken link\)"),
        ("runs", None),
        ("docs/readme.txt", None),
    ],
)
@pytest.mark.parametrize("top", ["", "train/"])
def test_a_class_that_ends_empty_stops_the_build(tmp_path: Path, picture, write, top, name, message) -> None:
    source = write(tmp_path, {f"{top}{c}/{i}.png": picture(i) for i in range(2) for c in ("cat", "dog")})
    path = source / top / name
    (path.parent if path.suffix else path).mkdir(exist_ok=True)
    if path.suffix == ".jpg":
        path.symlink_to("nowhere")
    elif path.suffix:
        path.write_bytes(b"x")
    if message is None:
        assert plan(source).class_ids == ("cat", "dog")
    else:
        with pytest.raises(DataError, match=message):
            plan(source)


def test_more_kinds_of_images_are_found(tmp_path: Path, write) -> None:
    names = [
        f"{c}/{i}{ending}" for i, ending in enumerate((".jfif", ".JPE", ".tif", ".TIFF", ".avif", ".jp2")) for c in "ab"
    ]
    found = plan(write(tmp_path, {name: bytes([i]) for i, name in enumerate(names)}))
    assert sorted(entry.name for entry in found.train + found.val) == sorted(names)


def test_an_added_photo_moves_none_from_training_to_validation(tmp_path: Path, picture, write) -> None:
    source = write(tmp_path, {f"{c}/{i}.png": picture(i + 99 * (c == "a"), 4, 4) for i in range(30) for c in "ab"})
    before = plan(source)
    for seed in range(200, 230):
        write(source, {"a/0 first.png": picture(seed, 4, 4), "b/new.png": picture(seed + 99, 4, 4)})
        after = plan(source)
        assert not {e.name for e in after.val} & {e.name for e in before.train}


def test_equal_files_are_held_out_together(tmp_path: Path, picture, write) -> None:
    files = {f"{c}/{i}{copy}.png": picture(i, 4, 4) for i in range(20) for c in "ab" for copy in ("", " copy")}
    found = plan(write(tmp_path, files), val=("0.4",))
    sides = [{e.name.rpartition("/")[2].split(".")[0].split()[0] for e in part} for part in (found.train, found.val)]
    assert not sides[0] & sides[1]
    assert sum(map(len, sides)) == 20


def test_one_image_of_each_class_is_too_few(tmp_path: Path, picture, write) -> None:
    source = write(tmp_path, {"cat/1.png": picture(1), "dog/1.png": picture(2)})
    with pytest.raises(DataError, match=r"two images of some class in .* but got one of each .*with --val FOLDER"):
        plan(source)


def test_classes_with_few_images_are_named(tmp_path: Path, picture, write) -> None:
    files = {f"train/{c}/{i}.png": picture(i) for c, n in (("cat", 6), ("dog", 1)) for i in range(n)}
    found = plan(write(tmp_path, files | {f"val/cat/{i}.png": picture(50 + i) for i in range(5)}))
    assert found.notes == (
        "2 classes (training + validation images): cat 6 + 5, dog 1 + 0",
        "some classes have fewer than 5 training images, which says little about them: dog 1",
        "some classes have fewer than 5 validation images, which says little about them: dog 0",
    )


@pytest.mark.parametrize(
    "name", [".git", "._x.jpg", ".Trash-1000", "@eaDir", "$RECYCLE.BIN", "Thumbs.db", "lost+found"]
)
def test_system_names(name: str) -> None:
    assert is_system_name(name)
    assert not any(map(is_system_name, ("cat", "x.jpg", "lost", ".", "..", "eaDir")))


def test_per_class_takes_the_first_by_name(tmp_path: Path, imagenet, write) -> None:
    found = plan(write(tmp_path, imagenet), per_class=2)
    assert [name for name, _ in rows(found.train)] == [f"n0{c}_{i}.png" for c in (1, 2, 3) for i in (0, 1)]
    assert len(found.val) == 6


def test_the_usual_size_is_the_median_of_short_sides_up_to_256(tmp_path: Path, picture, write) -> None:
    def size(*sides: int) -> int:
        files = {f"{name}/{i}.png": picture(0, side, 2 * side) for i, side in enumerate(sides) for name in "ab"}
        return plan(write(tmp_path / str(len(list(tmp_path.iterdir()))), files)).short_side

    assert size(48, 48, 48, 48) == 48
    assert size(40, 48, 48, 90) == 48
    assert size(300, 400, 300, 20) == 256


@pytest.mark.parametrize(("folder", "name"), [("pets", "pets"), ("mnist", "mnist-images"), ("digits", "digits-images")])
def test_names_of_other_data_sets_are_left_to_them(tmp_path: Path, imagenet, write, monkeypatch, folder, name) -> None:
    monkeypatch.chdir(write(tmp_path / folder, imagenet))
    assert plan(tmp_path / folder).name == plan(Path(".")).name == name


def test_stray_images_are_counted(tmp_path: Path, imagenet, picture, write) -> None:
    found = plan(write(tmp_path, {**imagenet, "train/stray.png": picture(1)}))
    assert found.unused == (("train/stray.png", "an image that lies in no class folder"),)


def test_key_follows_sources_and_options(tmp_path: Path, imagenet, write) -> None:
    source = write(tmp_path / "s", imagenet)
    key = plan(source).key
    assert plan(source).key == key == plan(source, classes="3").key
    others = {plan(source, **o).key for o in ({"size": 10}, {"channels": 1}, {"classes": "2"}, {"val": ("0.5",)})}
    (source / "train/n01/n01_0.png").touch()
    others.add(plan(source).key)
    write(source, {"words.txt": b""})
    others.add(plan(source).key)
    assert len(others | {key}) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "1"}, "a number of classes from 2 to 3, which there are, but got 1"),
        ({"classes": "4"}, "from 2 to 3, which there are, but got 4"),
        ({"classes": "n01,n9"}, r"at least two of the 3 classes \(n01, n02, n03\), but got 'n9'"),
        ({"classes": "n01"}, "but got only 1"),
        ({"classes": "no/such.txt"}, "but got 'no/such.txt'"),
        ({"val": ("0",)}, "a share of the training images between 0 and 1 as val, but got 0"),
        ({"val": ("1.5",)}, "between 0 and 1 as val, but got 1.5"),
        ({"val": ("nan",)}, "between 0 and 1 as val, but got nan"),
        ({"val": ("nowhere",)}, "a share, a folder, an archive or a file as val, but there is no nowhere"),
        ({"val": ("0.1", "0.2")}, "a share alone, or one folder or archive and one file as val, but got 0.1 0.2"),
        ({"size": 0}, "expected size from 1 to 2048, but got 0"),
        ({"size": 100_000}, "expected size from 1 to 2048, but got 100000"),
        ({"per_class": 0}, "expected per-class of at least 1, but got 0"),
        ({"seed": -1}, "expected seed of at least 0, but got -1"),
        ({"channels": 2}, "expected channels 1 or 3, but got 2"),
    ],
)
def test_bad_options(tmp_path: Path, imagenet, write, options, message: str) -> None:
    with pytest.raises(DataError, match=message):
        plan(write(tmp_path, imagenet), **options)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"expected images \(.jpeg .* in .*, but there are none among 0 files"),
        ({"a/1.txt": b"", "b/1.mp4": b""}, "but there are none among 2 files"),
        ({"1.png": b"", "2.png": b""}, "a folder for each class, .* but got images that lie in no class folder"),
        ({"a/1.png": b"", "a/2.png": b""}, "but got only 'a'"),
        ({"train/a/1.png": b"", "train/b/2.png": b"", "val/a/1.png": b"", "val/c/1.png": b""}, "got a class 'c'"),
    ],
)
def test_bad_sources(tmp_path: Path, write, files: dict[str, bytes], message: str) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError, match=message):
        plan(write(tmp_path / "source", files))


def test_what_is_not_used_of_other_validation_images_is_counted(tmp_path: Path, imagenet, write) -> None:
    train = write(tmp_path / "a", {n: c for n, c in imagenet.items() if n.startswith("train/")})
    val = {n: c for n, c in imagenet.items() if n.startswith("val/")}
    write(tmp_path / "b", val | {"val/n01/x.heic": b"", "val/stray.png": b""})
    found = plan(train, val=(str(tmp_path / "b"),))
    assert found.unused == (
        ("val/n01/x.heic", "HEIC, which cannot be read: convert it to JPEG"),
        ("val/stray.png", "an image that lies in no class folder"),
    )
