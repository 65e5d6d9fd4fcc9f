"""Every option reaches the object that it configures."""

import numpy as np
import pytest

import binnet_datasets
from binnet import models, optim
from binnet.train import builders
from binnet.train.config import TrainConfig


def test_options_reach_network_and_optimizer():
    data = binnet_datasets.load("digits")
    config = TrainConfig(
        optimizer="sgd", lr=0.5, momentum=0.25, nesterov=True, weight_decay=0.125, use_k=True, order="cbap", seed=9
    )
    net = builders.build_network(config, data)[1]
    assert (net.spec.num_classes, net.spec.in_channels, net.spec.image_size) == (10, 1, (8, 8))
    assert net.spec.options["use_k"]
    assert net.spec.options["order"] == "cbap"
    reference = models.build("lenet5", in_channels=1, image_size=8, seed=9, use_k=True, order="cbap")
    np.testing.assert_array_equal(net.conv1.weight.data, reference.conv1.weight.data)
    sgd = builders.build_optimizer(config, net)
    assert (type(sgd), sgd.lr, sgd.momentum, sgd.nesterov, sgd.weight_decay) == (optim.SGD, 0.5, 0.25, True, 0.125)
    adam = builders.build_optimizer(TrainConfig(weight_decay=0.5), net)
    assert (type(adam), adam.lr, adam.weight_decay) == (optim.Adam, 0.002, 0.5)
    assert len(adam.params) == len(net.parameters())


def test_options_reach_the_loader():
    data = binnet_datasets.load("digits")
    config = TrainConfig(batch_size=7, crop_pad=2, flip=True, scale_min=12, scale_max=16, seed=9, workers=3)
    loader = builders.build_loader(config, data, (10, 10))
    mean, std = data.mean_std()
    augment = binnet_datasets.Augment(pad=2, flip=True, scale=(12, 16), crop=True)
    how = {"view": binnet_datasets.View((10, 10)), "sampling": binnet_datasets.Sampling(True, 9, augment)}
    reference = binnet_datasets.Loader(data.train, 7, mean=mean, std=std, **how)
    assert loader.workers == 3
    for (x, labels), (expected, theirs) in zip(loader.epoch(2), reference.epoch(2), strict=True):
        np.testing.assert_array_equal(x, expected)
        np.testing.assert_array_equal(labels, theirs)
    assert builders.build_loader(TrainConfig(), data, (8, 8)).sampling.augment.scale is None


@pytest.mark.parametrize(("image_size", "expected"), [(None, (8, 8)), (12, (12, 12))])
def test_the_size_of_the_images(image_size, expected):
    net = builders.build_network(TrainConfig(image_size=image_size), binnet_datasets.load("digits"))[1]
    assert net.spec.image_size == expected
