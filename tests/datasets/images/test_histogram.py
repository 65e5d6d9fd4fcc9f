from __future__ import annotations

import numpy as np
import pytest

from binnet_datasets.images.histogram import count_levels, mean_std


@pytest.mark.parametrize("channels", [1, 3])
def test_against_numpy(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 9, 7, channels), np.uint8)
    counts = sum(count_levels(image) for image in pixels)
    assert np.array_equal(counts, count_levels(pixels))
    mean, std = mean_std(counts)
    flat = pixels.reshape(-1, channels) / 255
    np.testing.assert_allclose(mean, flat.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, flat.std(axis=0), rtol=1e-6)
    assert mean.dtype == std.dtype == np.float32


def test_a_channel_without_variation_has_deviation_1() -> None:
    mean, std = mean_std(count_levels(np.full((4, 4, 1), 51, np.uint8)))
    assert (mean.tolist(), std.tolist()) == ([np.float32(0.2)], [1.0])
