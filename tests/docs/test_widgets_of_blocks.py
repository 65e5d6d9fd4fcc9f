"""Widgets about blocks and networks, in a browser: slope of a sign, order of pooling and sign, shares of time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from live_parts import part
from widget_pages import drag, handle_at, text, value, values_of
from widget_pages import markup as markup
from widget_pages import page_of as page_of


def averaged_sign(x: float, width: float) -> float:
    """The mean of sign(x + u) over a fine grid of noise u on [−width, width]."""
    parts = 100_000
    u = (np.arange(parts) + 0.5) / parts * 2 * width - width
    return float(np.where(x + u < 0, -1, 1).mean())


@pytest.mark.parametrize("width", [0.05, 0.4, 1.0, 1.7])
def test_mean_and_slope_are_those_of_a_sign_with_noise(width: float) -> None:
    noise = part("widgets.noise")
    rng = np.random.default_rng(0)
    for x in (-1.9, -1.0, -0.3, 0.0, 0.02, 0.7, 1.5):
        assert noise.mean(x, width) == pytest.approx(averaged_sign(x, width), abs=1e-4)
        drawn = np.where(x + rng.uniform(-width, width, 100_000) < 0, -1, 1).mean()
        assert noise.mean(x, width) == pytest.approx(drawn, abs=0.015)
        if abs(abs(x) - width) > 0.02:  # no edge of the ramp within the step
            numeric = (averaged_sign(x + 0.01, width) - averaged_sign(x - 0.01, width)) / 0.02
            assert noise.slope(x, width) == pytest.approx(numeric, abs=2e-2)


def test_noise_of_width_1_gives_the_straight_through_estimator() -> None:
    noise, ste = part("widgets.noise"), values_of("noise")["ste"]
    assert ste["slope"] == [noise.slope(x, 1.0) for x in ste["x"]] == [float(abs(x) <= 1) for x in ste["x"]]


def test_noise_shows_mean_and_slope(page_of: Callable[..., Any]) -> None:
    page, first, noise = page_of("noise"), values_of("noise"), part("widgets.noise")
    w, x = (page.locator(f"[data-slider={name}]") for name in "wx")

    def compare(width: float, at: float) -> None:
        assert value(page, "mean") == pytest.approx(noise.mean(at, width), abs=6e-3)
        assert value(page, "mean") == pytest.approx(averaged_sign(at, width), abs=6e-3)
        assert value(page, "slope") == pytest.approx(noise.slope(at, width), abs=6e-3)
        assert value(page, "ste") == noise.slope(at, 1.0)
        share = float(text(page, "share").removesuffix(" %"))
        assert share == pytest.approx(50 + 50 * noise.mean(at, width), abs=0.06)

    compare(first["w"], first["x"])
    for width in (0.05, 0.2, 0.35, 1.0, 1.25, 2.0):
        w.fill(str(width))
        for at in (-2, -1, -0.35, 0, 0.35, 0.9, 1.0, 1.05):
            x.fill(str(at))
            compare(width, at)
            assert ("the slope is the STE" in text(page, "why")) == (width == 1)
            assert ("a spike" in text(page, "why")) == (width <= 0.2)
    drag(page, "x, on the average", -60, 0)
    moved = handle_at(page, "x, on the average")
    assert moved == float(x.input_value()) < 1
    page.keyboard.press("ArrowRight")
    assert handle_at(page, "x, on the average") == pytest.approx(moved + 0.05)
    compare(2.0, handle_at(page, "x, on the average"))


def test_the_slope_of_noise_has_the_area_of_the_jump(page_of: Callable[..., Any]) -> None:
    page = page_of("noise")
    page.locator("[data-slider=x]").fill("0")
    for width in ("0.05", "0.5", "2"):
        page.locator("[data-slider=w]").fill(width)
        assert value(page, "slope") * 2 * float(width) == pytest.approx(2)
        beyond = page.locator("svg").nth(1).locator("text", has_text="up to")
        assert beyond.count() == (1 if float(width) < 0.25 else 0)


def pooled_orders(patch: np.ndarray) -> tuple[list[int], list[int]]:
    """Signs of a patch (4, 4) by both orders: sign before pooling, and pooling, minus the mean, then sign."""
    windows = [patch[row : row + 2, col : col + 2] for row in (0, 2) for col in (0, 2)]
    after = [1 if (window >= 0).any() else -1 for window in windows]
    largest = [window.max() for window in windows]
    return after, [1 if round(4 * value - sum(largest), 6) >= 0 else -1 for value in largest]


def information(signs: list[int]) -> float:
    shares = [np.mean(np.array(signs) == sign) for sign in (1, -1)]
    return float(-sum(p * np.log2(p) for p in shares if p))


def test_orders_of_pooling_are_those_of_the_layers() -> None:
    patches = np.random.default_rng(7).integers(-20, 21, (50, 4, 4)) / 10
    for patch in patches:
        found = part("widgets.pooling").orders(patch[None, :, :, None])
        expected = pooled_orders(patch)
        assert [order.ravel().tolist() for order in found] == [list(signs) for signs in expected]
    before, after, between = values_of("pooling")["shares"]
    assert before == pytest.approx(0.5, abs=0.01)
    assert after == pytest.approx(1 - 2.0**-4, abs=0.01)
    # The largest of four normal numbers is 1.029 in the mean, and below that with a probability of Φ(1.029)⁴.
    assert between == pytest.approx(1 - 0.84830**4, abs=0.02)


def test_pooling_shows_both_orders(page_of: Callable[..., Any]) -> None:
    page, first = page_of("pooling"), values_of("pooling")

    def words(label: str) -> list[str]:
        return page.locator(f'svg[aria-label^="{label}"] text').all_text_contents()  # type: ignore[no-any-return]

    def compare() -> np.ndarray:
        names = [f"row {row}, column {col}" for row in range(1, 5) for col in range(1, 5)]
        patch = np.array([handle_at(page, name) for name in names]).reshape(4, 4)
        after, between = pooled_orders(patch)
        for label, signs in (
            ("The signs of the patch", np.where(patch < 0, -1, 1).ravel()),
            ("The largest sign", after),
            ("The signs of the largest", between),
        ):
            assert [int(word.replace("−", "-")) for word in words(label)] == list(signs)
        assert [float(word.replace("−", "-")) for word in words("The largest value")] == [
            patch[row : row + 2, col : col + 2].max() for row in (0, 2) for col in (0, 2)
        ]
        for name, signs in (("most", after), ("kept", between)):
            assert text(page, name) == f"{100 * signs.count(1) / 4:.0f} % are +1"
            assert value(page, f"bits-{name}") == pytest.approx(information(signs), abs=6e-3)
        return patch

    assert (compare().ravel() * 10).round().astype(int).tolist() == first["patch"]
    shown = [float(text(page, f"all-{i}").removesuffix(" %")) for i in range(3)]
    assert shown == pytest.approx([100 * share for share in first["shares"]], abs=0.06)

    before = compare()
    page.locator('[aria-label="row 1, column 1"]').click()  # flips the sign
    assert compare()[0, 0] == -before[0, 0]
    drag(page, "row 2, column 1", 0, 20)
    assert compare()[1, 0] < 0 < before[1, 0]
    page.keyboard.press("ArrowUp")
    moved = compare()[1, 0]
    page.keyboard.press("Space")
    assert compare()[1, 0] == -moved
    for _ in range(3):
        page.click("text=Random patch")
        compare()
    page.click("text=One +, all others −")
    assert (compare() > 0).sum() == 1
    assert text(page, "most") == "25 % are +1"
    page.click("text=Reset")
    assert (compare() == before).all()


def counted_macs(channels: int, size: int, filters: int, kernel: int, stride: int, padding: int) -> int:
    """Multiply-adds of a layer, by counting the places of its window along one side."""
    places = sum(1 for start in range(-padding, size + padding, stride) if start + kernel <= size + padding)
    return places * places * filters * kernel * kernel * channels


def test_shares_count_the_layers_of_the_networks() -> None:
    macs = part("widgets.shares").macs()
    # 1.81 billion for ResNet-18 is what others report; AlexNet without groups has 1.14 billion.
    assert [round(sum(parts.values()) / 1e6) for parts in macs.values()] == [1814, 1135]
    half = [(64, 56), (128, 28), (256, 14)]
    assert macs["ResNet-18"] == {
        "first": counted_macs(3, 224, 64, 7, 2, 3),
        "binary": 4 * counted_macs(64, 56, 64, 3, 1, 1)
        + sum(counted_macs(c, n, 2 * c, 3, 2, 1) for c, n in half)
        + sum(3 * counted_macs(2 * c, n // 2, 2 * c, 3, 1, 1) for c, n in half),
        "shortcuts": sum(counted_macs(c, n, 2 * c, 1, 2, 0) for c, n in half),
        "last": 512 * 1000,
    }
    assert macs["AlexNet"]["first"] == 55 * 55 * 96 * 11 * 11 * 3
    convolutions = 27 * 27 * 256 * 25 * 96 + 13 * 13 * 9 * (384 * 256 + 384 * 384 + 256 * 384)
    assert macs["AlexNet"]["binary"] == convolutions + 4096 * 9216 + 4096 * 4096


def test_shares_show_what_real_layers_leave(page_of: Callable[..., Any]) -> None:
    page, macs = page_of("shares"), part("widgets.shares").macs()

    def percent(name: str) -> float:
        return float(text(page, name).removesuffix(" %"))

    for network, parts in macs.items():
        page.click(f'[data-network="{network}"]')
        total, binary = sum(parts.values()), parts["binary"]
        r = (total - binary) / total
        assert percent("r") == pytest.approx(100 * r, abs=0.06)
        assert value(page, "limit") == pytest.approx(1 / r, abs=0.06)
        for s in (1, 10, 58, 64):
            page.locator("[data-slider=s]").fill(str(s))
            times = {name: count / s if name == "binary" else count for name, count in parts.items()}
            left = sum(times.values())
            assert value(page, "faster") == pytest.approx(total / left, abs=6e-3)
            assert value(page, "faster") == pytest.approx(part("widgets.shares").faster(network, s), abs=6e-3)
            assert percent("reached") == pytest.approx(100 * r * total / left, abs=0.6)
            for name, count in parts.items():
                assert percent(f"float-{name}") == pytest.approx(100 * count / total, abs=0.06)
                assert percent(f"binary-{name}") == pytest.approx(100 * times[name] / left, abs=0.06)
            width = page.locator("rect.share.binary").evaluate_all("all => all.map((bar) => bar.width.baseVal.value)")
            inner = times["binary"]
            assert width == pytest.approx([520 * binary / total, 520 * inner / total, 520 * inner / left])
        assert page.locator("tr:visible").count() == 1 + len(parts)
    page.locator('[aria-label="s, on the curve"]').focus()
    page.keyboard.press("PageDown")
    assert handle_at(page, "s, on the curve") == float(page.locator("[data-slider=s]").input_value()) == 59
    drag(page, "s, on the curve", -300, 0)
    assert handle_at(page, "s, on the curve") == float(page.locator("[data-slider=s]").input_value()) < 50
