"""Widgets about the parts of a block, in a browser: the slope of a sign, the order of pooling and sign."""

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
