"""What a packed model's file remembers about its data: what it takes, and what is damage."""

import numpy as np
import pytest

import binnet
from binnet import models
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.modelfile.info import DataInfo


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"dataset": 3}, "dataset must be a word, got 3"),
        ({"class_names": None}, "class_names must be a list of names, got None"),
        ({"provenance": None}, "provenance must be an object that JSON can hold, got None"),
        ({"provenance": {"top1": np.float32(0.5)}}, "provenance must be an object that JSON can hold"),
        ({"preprocessing": {"stored_size": 64, "short_side": 64}}, "preprocessing must be a Preprocessing, got"),
    ],
)
def test_information_that_no_file_could_hold_is_refused(values, match):
    with pytest.raises(ValueError, match=match):
        DataInfo(**values)


def test_pack_takes_the_shape_of_an_image_and_names_in_an_array():
    net, names = models.build("lenet5", in_channels=1, image_size=(8, 6), num_classes=3), np.array(["a", "b", "c"])
    assert binnet.pack(net, input_shape=(8, 6, 1), class_names=names).info.class_names == ("a", "b", "c")
    with pytest.raises(ValueError, match="either info, or mean, std and class_names"):
        binnet.pack(net, DataInfo(), class_names=names)
    with pytest.raises(TypeError, match="info must be a DataInfo, got dict"):
        binnet.pack(net, {"mean": 0.5, "std": 1})


@pytest.mark.parametrize("keys", [np.zeros(2, np.int64), np.zeros((2, 2), np.uint64), np.zeros(2, np.float32)])
def test_keys_of_another_kind_are_damage(tmp_path, keys):
    path = tmp_path / "m.h5"
    binnet.pack(models.build("lenet5", in_channels=1, image_size=8)).save(path)
    kind, arrays, description = container.load(path)
    container.save(path, kind, {**arrays, "trained_on": keys}, description)
    with pytest.raises(StorageError, match=r"is damaged: trained_on must be uint64 \(n,\), got"):
        binnet.load(path)


@pytest.mark.parametrize("name", ["conv1.weight", "conv2.alpha", "conv1_norm.factor", "dense4.bias"])
def test_arrays_that_are_not_finite_are_damage(tmp_path, name):
    path = tmp_path / "m.h5"
    binnet.pack(models.build("lenet5", in_channels=1, image_size=8)).save(path)
    kind, arrays, description = container.load(path)
    arrays[name].reshape(-1)[0] = np.inf
    container.save(path, kind, arrays, description)
    with pytest.raises(StorageError, match=f"is damaged: {name} has values that are not finite"):
        binnet.load(path)
