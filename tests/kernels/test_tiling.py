"""How convolutions are divided: every output in one item, and even shares of anything."""

import pytest

from binnet_kernels.simd.tile import CHANNELS
from binnet_kernels.simd.tiling import items_of, part_of, share


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("total", [0, 1, 6, 100])
def test_shares_are_even_and_leave_nothing_out(parts, total):
    shares = [share(part, parts, total) for part in range(parts)]
    assert [i for begin, end in shares for i in range(begin, end)] == list(range(total))
    sizes = [end - begin for begin, end in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("pixels", [1, 4, 5, 49, 3136])
@pytest.mark.parametrize("channels", [1, CHANNELS, 3 * CHANNELS + 1])
@pytest.mark.parametrize("chunk", [1, 16, 48])
def test_items_have_each_tile_once(pixels, channels, chunk):
    rows, written = 4, []
    for item in range(items_of(pixels, channels, rows, chunk)):
        channel, begin, end = part_of(item, pixels, channels, rows, chunk)
        assert 0 < end - begin <= chunk * rows
        written += [(channel, first) for first in range(begin, end, rows)]
    expected = [(channel, first) for channel in range(0, channels, CHANNELS) for first in range(0, pixels, rows)]
    assert sorted(written) == expected
