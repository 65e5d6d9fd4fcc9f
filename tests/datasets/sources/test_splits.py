"""Folders named as splits, and folders that only look so."""

from __future__ import annotations

from pathlib import Path

import pytest

from binnet_datasets import BuildOptions, DataError
from binnet_datasets.sources.splits import split_of
from binnet_datasets.store.plan import Plan, make_evaluation_plan, make_plan


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, ("train", "")) for name in ("train", "TRAIN", "Training", "training_set", "train2017", "seg_train")),
        *((name, ("train", "")) for name in ("train_images", "train-data", "TrainingSet", "trainset", "Train Data")),
        *((name, ("val", "")) for name in ("val", "Validation", "valid", "val2017", "validation_set", "dev", "valset")),
        *((name, ("test", "")) for name in ("test", "Testing", "TEST", "test_set", "seg_test", "test1", "testimages")),
        ("ILSVRC2012_img_train", ("train", "ilsvrc")),
        ("pets-val", ("val", "pets")),
        *((name, None) for name in ("cats", "strain", "trained", "latest", "valley", "contest", "train_test", "2017")),
    ],
)
def test_names_of_splits(name: str, split: tuple[str, str] | None) -> None:
    assert split_of(name) == split


@pytest.fixture
def make(tmp_path: Path, picture, write):
    """Write some images, all different, into each of these folders."""

    def make(*folders: str, count: int = 6) -> Path:
        seeds = iter(range(1000))
        return write(
            tmp_path / "s", {f"{f}/{i}.png": picture(next(seeds), 8, 8) for f in folders for i in range(count)}
        )

    return make


def classes(plan: Plan) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Images of each class, for training and for validation."""
    return tuple([(c, sum(e.class_id == c for e in part)) for c in plan.class_ids] for part in (plan.train, plan.val))


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("training_set", "test_set"),
        ("train2017", "val2017"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("Training", "Testing"),
        ("TRAIN", "VALID"),
        ("train_images", "val_images"),
        ("images/train", "images/val"),
        ("pets/all/train", "pets/all/test"),
        ("pets_train", "pets_val"),
    ],
)
def test_splits_are_no_classes(make, train: str, val: str) -> None:
    found = make_plan(make(*(f"{part}/{name}" for part in (train, val) for name in ("cats", "dogs"))), BuildOptions())
    assert classes(found) == ([("cats", 6), ("dogs", 6)], [("cats", 6), ("dogs", 6)])
    assert found.notes == ("2 classes (training + validation images): cats 6 + 6, dogs 6 + 6",)


def test_what_can_be_read_both_ways_is_refused(make) -> None:
    source = make("train/wooden", "train/lego", "car", "doll")
    with pytest.raises(DataError, match=r"--layout splits 'train' holds the classes lego, wooden and car, doll are"):
        make_plan(source, BuildOptions())
    with pytest.raises(DataError, match=r"with --layout classes the classes are car, doll, train$"):
        make_evaluation_plan(source, BuildOptions())
    splits = make_plan(source, BuildOptions(layout="splits"))
    assert splits.class_ids == ("lego", "wooden")
    assert ("car/0.png", "it lies beside the folder train") in splits.unused
    assert any(
        note.startswith("12 files are not used (it lies beside the folder train): car/0") for note in splits.notes
    )
    assert make_plan(source, BuildOptions(layout="classes")).class_ids == ("car", "doll", "train")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("val/a", "val/b", "test/a", "test/b"), "training images .* but val and test are named as other splits"),
        (("a/train", "a/test", "b/train", "b/test"), "class folders .* but 'a' holds train, test"),
        (("train1/a", "train1/b", "train2/a", "train2/b"), "one folder of train images .* but got train1, train2"),
        (("training", "testing"), "lie in no class folder; --layout classes takes the folders of the splits"),
        (("data/train/a", "data/val/a", "previews"), "class folders .* but 'data' holds train, val"),
    ],
)
def test_what_is_refused(make, folders: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_plan(make(*folders), BuildOptions())


def test_folders_beside_splits_that_are_beyond_doubt_are_counted(make) -> None:
    found = make_plan(make("seg_train/a", "seg_train/b", "seg_test/a", "seg_test/b", "seg_pred"), BuildOptions())
    assert classes(found) == ([("a", 6), ("b", 6)], [("a", 6), ("b", 6)])
    assert [reason for _, reason in found.unused] == ["it lies beside the folders seg_train and seg_test"] * 6


def test_splits_of_which_there_are_none(make) -> None:
    with pytest.raises(DataError, match=r"folders named as train, val or test in .*, but got cat, dog"):
        make_plan(make("cat", "dog"), BuildOptions(layout="splits"))
    with pytest.raises(DataError, match=r"expected layout splits or classes, but got 'x'"):
        BuildOptions(layout="x")


def test_classes_of_validation_images_match_in_any_case_and_unicode_form(make) -> None:
    found = make_plan(make("train/Cat", "train/Caf\u00e9", "val/cat", "val/cafe\u0301"), BuildOptions())
    assert classes(found) == ([("Café", 6), ("Cat", 6)], [("Café", 6), ("Cat", 6)])


def test_a_folder_that_fits_two_classes_is_refused(make) -> None:
    with pytest.raises(DataError, match=r"a class for the folder 'CAT' of .*, but Cat and cat both fit"):
        make_plan(make("train/Cat", "train/cat", "val/CAT"), BuildOptions())


@pytest.mark.parametrize(
    ("split", "counts"), [("auto", [2, 1]), ("test", [2, 1]), ("val", [4, 3]), ("train", [6, 5]), ("all", [12, 9])]
)
def test_evaluation_takes_the_test_images_unless_told_otherwise(tmp_path: Path, picture, write, split, counts) -> None:
    files = {}
    for part, most in (("train", 6), ("val", 4), ("test", 2)):
        files |= {f"{part}/{c}/{part}{i}.png": picture(1) for c, n in (("a", most), ("b", most - 1)) for i in range(n)}
    found = make_evaluation_plan(write(tmp_path, files), BuildOptions(), split)
    assert classes(found) == ([("a", 0), ("b", 0)], list(zip("ab", counts, strict=True)))
    assert (
        f"evaluating the test images in {tmp_path}/test; --split val or train or all takes others" in found.notes
    ) == (split == "auto")
    assert len(found.unused) == 21 - sum(counts)


def test_evaluation_of_a_folder_without_splits_takes_all_of_it(make) -> None:
    found = make_evaluation_plan(make("cat", "dog", count=15), BuildOptions())
    assert classes(found)[1] == [("cat", 15), ("dog", 15)]
    assert found.notes == ("2 classes: cat 15, dog 15",)
    assert found.key != make_plan(Path(found.val[0].member.path).parents[1], BuildOptions()).key


def test_evaluation_of_one_class_or_of_flat_images(make, tmp_path: Path) -> None:
    source = make("cat")
    assert classes(make_evaluation_plan(source, BuildOptions()))[1] == [("cat", 6)]
    with pytest.raises(DataError, match=r"a folder for each class in .*cat, but got images that lie in no"):
        make_evaluation_plan(source / "cat", BuildOptions())
    with pytest.raises(DataError, match=r"a split named val in .*, but got class folders alone"):
        make_evaluation_plan(source, BuildOptions(), "val")
    with pytest.raises(DataError, match=r"expected split auto, train, val, test or all, but got 'dev'"):
        make_evaluation_plan(source, BuildOptions(), "dev")


def test_evaluation_with_a_file_of_classes(make, tmp_path: Path) -> None:
    source = make("val")
    (source / "val" / "val_annotations.txt").write_text("".join(f"{i}.png\t{'ab'[i % 2]}\n" for i in range(6)))
    assert classes(make_evaluation_plan(source, BuildOptions()))[1] == [("a", 3), ("b", 3)]


def test_classes_that_differ_in_case_alone_are_told_apart(make, tmp_path: Path) -> None:
    (tmp_path / "CASE").mkdir()
    if (tmp_path / "case").exists():
        pytest.skip("needs a file system in which case counts")
    found = make_plan(make("Cat", "cat", "dog"), BuildOptions())
    assert [class_id for class_id, _ in classes(found)[0]] == ["Cat", "cat", "dog"]
    told = "these are different classes here, but one folder on Windows and macOS: 'Cat' and 'cat'; rename one of them"
    assert [note for note in found.notes if "Windows" in note] == [told]


def test_classes_that_differ_in_more_than_case_need_no_sentence(make) -> None:
    assert not [note for note in make_plan(make("Cat", "dog"), BuildOptions()).notes if "Windows" in note]
