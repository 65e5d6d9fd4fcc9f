from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from binnet_datasets import DataError
from binnet_datasets.sources.label_files import beside, class_names, find, truth, whole_file
from binnet_datasets.sources.members import Member

IMAGES = ["val/b_2.JPEG", "val/a_1.JPEG"]


def no_meta() -> None:
    return None


@pytest.mark.parametrize(
    "text",
    [
        "a_1.JPEG\tn01\t0\t3\t63\t57\nb_2.JPEG\tn02\t5\t12\t57\t53\nc_3.JPEG\tn01\t1\t1\t1\t1\n",
        "ImageId,PredictionString\nb_2,n02 5 12 57 53 n02 1 1 2 2 \na_1,n01 85 1 499 272 \n",
        "a_1.JPEG n01\r\n\r\nb_2.JPEG n02\r\n",
    ],
)
def test_classes_of_flat_images(text: str) -> None:
    assert truth("file", text, IMAGES, no_meta) == {"val/a_1.JPEG": "n01", "val/b_2.JPEG": "n02"}


@pytest.mark.parametrize("line", ["{}\t{}", "{},{}", '"{}","{}"', "{} {}", "./{}\t{}"])
def test_names_with_spaces_and_classes_of_two_words(line: str) -> None:
    images = ["val/my dog 1.jpg", "val/caf\u00e9.png"]
    text = "".join(
        line.format(*row) + "\n" for row in (("cafe\u0301.png", "tea pot"), ("my dog 1.jpg", "golden retriever"))
    )
    assert truth("file", text, images, no_meta) == {images[0]: "golden retriever", images[1]: "tea pot"}


def test_images_of_one_name_are_told_apart_by_their_folders() -> None:
    images = ["val/a/0.jpg", "val/b/0.jpg"]
    expected = {"val/a/0.jpg": "cat", "val/b/0.jpg": "dog"}
    for prefix in ("val/", "", "./val/", "val\\"):
        assert truth("file", f"{prefix}a/0.jpg cat\n{prefix}b/0.jpg dog\n", images, no_meta) == expected
    with pytest.raises(DataError, match=r"a line for each of val/a/0.jpg and val/b/0.jpg in file, but '0.jpg' fits"):
        truth("file", "0.jpg cat\n", images, no_meta)
    with pytest.raises(DataError, match=r"one class for val/a/0.jpg in file, but got cat and dog"):
        truth("file", "0.jpg cat\n0.jpg dog\n", images, no_meta)


def test_a_name_without_its_ending_fits_one_image_only() -> None:
    assert truth("file", "0.png\tcat\n0.jpg\tdog\n", ["0.jpg", "0.png"], no_meta) == {"0.jpg": "dog", "0.png": "cat"}
    with pytest.raises(DataError, match=r"a line for each of 0.jpg and 0.png in file, but '0' fits both"):
        truth("file", "0\tcat\n", ["0.jpg", "0.png"], no_meta)


def meta_file(path: Path) -> Member:
    from scipy.io import savemat

    kinds = np.dtype([("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])
    rows = [(np.array([[i + 1]]), f"n0{i}", "some words") for i in range(4)]
    savemat(path, {"synsets": np.array(rows, kinds).reshape(-1, 1)})
    return whole_file(path)


def test_numbers_count_the_synsets_in_the_order_of_the_names(tmp_path: Path) -> None:
    member = meta_file(tmp_path / "meta.mat")
    assert truth("file", "3\n1\n", IMAGES, lambda: member) == {"val/a_1.JPEG": "n02", "val/b_2.JPEG": "n00"}
    with pytest.raises(DataError, match=r"expected numbers of meta.mat in file, but got 9"):
        truth("file", "3\n9\n", IMAGES, lambda: member)


def test_damaged_meta(tmp_path: Path) -> None:
    (tmp_path / "meta.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match=r"expected the table of synsets in .*meta.mat"):
        truth("file", "3\n1\n", IMAGES, lambda: whole_file(tmp_path / "meta.mat"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "but it is empty"),
        ("a_1.JPEG\tn01\n", "val/b_2.JPEG is not in it"),
        ("1\n2\n3\n", "expected 2 numbers in file, one for each image, but got 3"),
        ("1\n2\n", r"expected meta.mat .* beside file, .*LOC_val_solution.csv needs no other file"),
        ("\x00\x01\x02", "is not in it"),
    ],
)
def test_files_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        truth("file", text, IMAGES, no_meta)


def test_names_are_first_synonyms_unless_two_would_be_the_same() -> None:
    text = "n1\tgoldfish, Carassius auratus\nn2 crane\nn3 crane, bird\nn4\tcrane\nnonsense\n\n"
    assert class_names(["n1", "n2", "n3", "n4", "n5"], text) == (
        "goldfish",
        "crane (n2)",
        "crane, bird",
        "crane (n4)",
        "n5",
    )


def test_the_shallowest_file_counts() -> None:
    member = Member("x", 0, 0, 0)
    names = dict.fromkeys(("a/b/words.txt", "c/words.txt", "b/words.txt", "d.txt", "aswords.txt"), member)
    assert find(names, ("words.txt",)) == "b/words.txt"
    assert find(names, ("other",)) is None


def test_files_beside(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("n1 x\n")
    found = beside(tmp_path / "any.tar", ("none.txt", "words.txt"))
    assert found is not None
    assert found.read() == b"n1 x\n"
    with pytest.raises(DataError, match=r"expected a file at .*none, but looking for it failed: No such file"):
        whole_file(tmp_path / "none")
