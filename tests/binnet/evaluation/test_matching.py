"""Classes of a data set and of a model, matched by name."""

import dataclasses
import unicodedata

import numpy as np
import pytest

from binnet.evaluation.matching import match
from binnet.modelfile.info import DataInfo
from binnet_datasets import DataError, Dataset, Split


def dataset(names, labels, ids=()):
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    split = Split(images, np.array(labels, np.int64))
    return Dataset("pets", Split(images[:0], split.labels[:0]), split, tuple(names), None, tuple(ids))


def test_labels_become_those_of_the_model():
    info = DataInfo("", ("salamander", "bullfrog", "goldfish"))
    found = match(info, 3, dataset(("bullfrog", "goldfish", "zebra"), [2, 0, 1, 0, 2, 2]))
    assert found.split.labels.tolist() == [1, 2, 1]
    assert found.split.images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert (found.by, found.unknown, found.missing) == ("name", {"zebra": 3}, ("salamander",))
    assert found.to_dict() == {
        "classes_matched_by": "name",
        "left_out": {"unknown_class": {"zebra": 3}, "trained_on": 0},
        "classes_missing": ["salamander"],
    }
    assert found.sentences() == [
        "left out 3 images of classes that the model does not know: zebra (3)",
        "note: there are no images of 1 class of the model: salamander",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Cat", "cAT"),
        (unicodedata.normalize("NFC", "Möwe"), unicodedata.normalize("NFD", "möwe")),
        ("STRASSE", "straße"),
    ],
)
def test_case_and_unicode_form_do_not_matter(ours, theirs):
    assert match(DataInfo("", ("dog", ours)), 2, dataset((theirs,), [0])).split.labels.tolist() == [1]


def test_names_that_differ_in_case_only_are_told_apart():
    found = match(DataInfo("", ("cat", "Cat")), 2, dataset(("CAT", "Cat", "cat"), [0, 1, 2]))
    assert (found.split.labels.tolist(), found.unknown) == ([1, 0], {"CAT": 1})


def test_identifiers_count_where_names_do_not_fit():
    info = DataInfo("", ("goldfish", "owl"), provenance={"class_ids": ["n01443537", "n01614925"]})
    assert match(info, 2, dataset(("n01614925", "n01443537"), [0, 1])).split.labels.tolist() == [1, 0]
    named = dataset(("gold fish", "owl"), [0, 1], ("n01443537", "n1"))
    assert match(info, 2, named).split.labels.tolist() == [0, 1]
    plain = DataInfo("", ("n01443537", "n01614925"))
    found = match(plain, 2, dataset(("goldfish",), [0], ("n01443537",)))
    assert found.split.labels.tolist() == [0]


CRANES = ("crane", "crane", "owl")  # two classes of ImageNet, a bird and a machine


def test_two_classes_of_one_name_are_told_apart_by_identifier_or_place():
    ids = ["n02012849", "n03126707", "n01614925"]
    with_ids = DataInfo("", CRANES, provenance={"class_ids": ids})
    turned = dataset(("owl", "crane", "crane"), [0, 1, 2], (ids[2], ids[1], ids[0]))
    assert match(with_ids, 3, turned).split.labels.tolist() == [2, 1, 0]
    swapped = dataset(CRANES, [0, 1, 2], (ids[1], ids[0], ids[2]))
    assert match(with_ids, 3, swapped).split.labels.tolist() == [1, 0, 2]
    assert match(DataInfo("", CRANES), 3, dataset(CRANES, [1, 0, 2])).split.labels.tolist() == [1, 0, 2]


def test_classes_that_nothing_tells_apart_are_left_out():
    of_model = match(DataInfo("", CRANES), 3, dataset(("crane", "owl"), [0, 1]))
    assert (of_model.split.labels.tolist(), of_model.unknown) == ([2], {"crane": 1})
    of_data = match(DataInfo("", ("owl", "crane")), 2, dataset(CRANES, [0, 1, 1, 2]))
    assert (of_data.split.labels.tolist(), of_data.unknown) == ([0], {"crane": 3})


def test_without_names_the_numbers_must_agree():
    found = match(DataInfo(), 2, dataset(("a", "b"), [1, 0]))
    assert (found.split.labels.tolist(), found.by) == ([1, 0], "number")
    assert "matched by their number" in found.sentences()[0]
    with pytest.raises(DataError, match=r"has 3 classes without names, .* but pets has 2"):
        match(DataInfo(), 3, dataset(("a", "b"), [1, 0]))


def test_refused_when_nothing_fits():
    with pytest.raises(DataError, match=r"no class of pets \(a, b\) is one of the model's \(c, d\)"):
        match(DataInfo("", ("c", "d")), 2, dataset(("a", "b"), [0, 1]))
    with pytest.raises(DataError, match="there are no images to evaluate on in pets"):
        match(DataInfo("", ("a", "d")), 2, dataset(("a", "b"), [1, 1]))


class Keyed:
    """Images with keys, as those of a store."""

    def __init__(self, keys):
        self.keys, self.channels = np.array(keys, np.uint64), 1
        self.sizes = np.full((len(keys), 2), 2, np.int64)

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, i):
        return np.full((2, 2, 1), i, np.uint8)


def test_images_that_were_trained_on_are_left_out():
    test = Split(Keyed([7, 1 << 63, 9, 7]), np.array([0, 0, 1, 1]))
    data = Dataset("pets", Split(Keyed([]), np.zeros(0, np.int64)), test, ("a", "b"))
    info = DataInfo("", ("a", "b"), trained_on=np.array([7, 8], np.uint64))
    found = match(info, 2, data)
    assert (found.trained_on, found.split.labels.tolist()) == (2, [0, 1])
    assert [found.split.images[i][0, 0, 0] for i in range(2)] == [1, 2]
    assert found.split.images.keys.tolist() == [1 << 63, 9]
    assert "left out 2 images that the model was trained on (--include-trained" in found.sentences()[0]
    assert len(match(info, 2, data, include_trained=True).split) == 4
    with pytest.raises(DataError, match=r"was trained on all 4 images of pets .* --include-trained"):
        match(dataclasses.replace(info, trained_on=test.images.keys), 2, data)
