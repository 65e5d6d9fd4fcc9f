"""Each widget in a browser, without the built site: what it shows equals what Python computes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import binnet_kernels as bk
from binnet.lab.bench.shapes import Layer
from live_parts import part
from widget_pages import cells, drag, handle_at, text, value, values_of
from widget_pages import markup as markup
from widget_pages import page_of as page_of

DOCS = Path(__file__).parents[2] / "docs"
SOURCES = Path(__file__).parents[2] / "binnet" / "live" / "widgets"
WIDGETS = sorted(path.stem for path in SOURCES.glob("[a-z]*.py"))
LIMIT = 10_240  # bytes of a widget's own script
# Elements that a screen reader would meet without a name.
NAMELESS = """
[...document.querySelectorAll("button, input, [tabindex], [role=slider], svg[role=img]")].filter((node) =>
  !(node.ariaLabel || node.textContent.trim() || node.labels?.length)).map((node) => node.outerHTML)
"""


@pytest.mark.parametrize("name", WIDGETS)
def test_scripts_stay_small(name: str) -> None:
    assert (SOURCES / f"{name}.js").stat().st_size < LIMIT


def test_each_widget_is_on_one_page() -> None:
    pages = [*DOCS.glob("*.md"), *DOCS.glob("paper/*.md")]
    used = [name for page in pages for name in re.findall(r'^live\.widget\("(\w+)"\)$', page.read_text("utf-8"), re.M)]
    assert sorted(used) == WIDGETS


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", WIDGETS)
def test_widgets_fit_a_phone_and_have_names(name: str, scheme: str, page_of: Callable[..., Any]) -> None:
    page = page_of(name, width=400, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate(NAMELESS) == []
    assert len(page.locator("figure.widget").get_attribute("aria-label")) > 20
    assert page.locator("[aria-live=polite]").count() >= 1
    assert "undefined" not in page.locator("figure").inner_text()
    assert "NaN" not in page.locator("figure").inner_text()
    sides = page.evaluate(
        "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect()).map(b => [b.left, b.right])"
    )
    assert all(left >= 0 and right <= 400 for left, right in sides)


@pytest.mark.parametrize("name", WIDGETS)
def test_widgets_work_where_a_notebook_puts_them(
    name: str, markup: Callable[[str], str], page_of: Callable[..., Any]
) -> None:
    """Notebooks set the HTML of an output, and then replace its scripts by new ones, which run."""
    alone = page_of(name).locator(".stage").inner_text()
    page = page_of(name, shell="<!doctype html><meta charset='utf-8'><div id='out'></div><template>{}</template>")
    page.evaluate("""
        document.getElementById("out").innerHTML = document.querySelector("template").innerHTML;
        document.querySelector("template").remove();
        for (const old of document.querySelectorAll("#out script")) {
          const fresh = document.createElement("script");
          fresh.textContent = old.textContent;
          old.replaceWith(fresh);
        }
    """)
    assert page.locator(".stage").inner_text() == alone


def dot(x: np.ndarray, w: np.ndarray) -> int:
    """The dot product of signs, by the kernel."""
    return int(bk.xnor_gemm(bk.pack_signs(np.float32(x))[None], bk.pack_signs(np.float32(w))[None], len(x))[0, 0])


def signs_of(page: Any, row: str) -> np.ndarray:
    return np.array([{"+": 1, "−": -1}[text] for text in cells(page, row)])


def test_dot_counts_as_python_does(page_of: Callable[..., Any]) -> None:
    page, first = page_of("dot"), values_of("dot")
    np.testing.assert_array_equal(signs_of(page, "inputs x"), first["x"])
    np.testing.assert_array_equal(signs_of(page, "weights w"), first["w"])
    assert value(page, "bits") == value(page, "sum") == first["dot"]
    buttons = page.locator("button.cell")
    for i in (0, 3, 15, 16, 20, 31, 3):
        before = signs_of(page, "inputs x" if i < 16 else "weights w")[i % 16]
        buttons.nth(i).click()
        x, w = signs_of(page, "inputs x"), signs_of(page, "weights w")
        assert (x if i < 16 else w)[i % 16] == -before
        assert value(page, "bits") == value(page, "sum") == dot(x, w)
        assert value(page, "d") == (x != w).sum()
        np.testing.assert_array_equal(signs_of(page, "products"), x * w)
        assert cells(page, "bits of x") == [str(int(v < 0)) for v in x]
        assert cells(page, "XOR") == [str(int(v)) for v in x != w]
        assert [int(v.replace("−", "-")) for v in cells(page, "running sum")] == np.cumsum(x * w).tolist()
    for name, expected in (("Make w equal to x", 16), ("Make w opposite", -16)):
        page.click(f"text={name}")
        assert value(page, "bits") == expected
    page.click("text=Random")
    assert value(page, "bits") == dot(signs_of(page, "inputs x"), signs_of(page, "weights w"))


def test_dot_by_keyboard(page_of: Callable[..., Any]) -> None:
    page = page_of("dot")
    before = signs_of(page, "weights w")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("input 0: ")
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Space", "End", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    changed = np.flatnonzero(signs_of(page, "weights w") != before)
    assert changed.tolist() == [1, 15]
    assert page.evaluate("document.activeElement.ariaLabel").startswith("weight 15: ")


def test_tail_counts_as_python_does(page_of: Callable[..., Any]) -> None:
    page, first = page_of("tail"), values_of("tail")
    slide = page.locator("[data-slider=n]")
    for n in (16, 1, 5, 12):
        slide.fill(str(n))
        a, b = (np.array([int(bit) for bit in cells(page, row)]) for row in "ab")
        assert not a[n:].any()
        assert not b[n:].any()
        expected = first["dots"][n - 1]
        assert value(page, "right") == value(page, "masked") == expected == dot(1 - 2 * a[:n], 1 - 2 * b[:n])
        assert value(page, "xnor") == expected + 2 * (16 - n)
        assert value(page, "full") == expected + 16 - n
        assert cells(page, "a XOR b") == [str(bit) for bit in a ^ b]
        assert cells(page, "a XNOR b") == [str(bit) for bit in 1 - (a ^ b)]
        assert page.locator("li.bad").count() == (2 if n < 16 else 0)
    page.locator('.row:has(.name:text-is("a")) .cell').nth(11).click()
    a[11] ^= 1
    assert value(page, "right") == dot(1 - 2 * a[:12], 1 - 2 * b[:12])
    assert page.locator("button.cell:disabled").count() == 8
    page.keyboard.press("Home")
    for key in ("End", "ArrowRight"):  # bits of the tail cannot be reached
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.i") == "11"
    assert page.locator('.row:has(.name:text-is("a")) .cell[tabindex="0"]:not(:disabled)').count() == 1
    slide.focus()
    page.keyboard.press("ArrowLeft")
    assert value(page, "right") == dot(1 - 2 * a[:11], 1 - 2 * b[:11])


def test_scale_has_its_least_distance_where_python_says(page_of: Callable[..., Any]) -> None:
    page, first = page_of("scale"), values_of("scale")
    assert value(page, "mean") == pytest.approx(first["alpha"], abs=6e-4)
    assert value(page, "least") == pytest.approx(first["distance"], abs=6e-4)
    drag(page, "weight 1", 0, 60)
    drag(page, "weight 2", 0, 150)  # through zero
    drag(page, "scale alpha, on the curve", -60, 0)
    page.locator('[aria-label="weight 4"]').focus()
    for key in ("ArrowUp", "ArrowUp", "PageDown", "ArrowRight"):
        page.keyboard.press(key)
    w = np.float32([handle_at(page, f"weight {i}") for i in range(8)])
    assert w[1] < first["w"][1] - 0.2
    assert w[2] < 0 < first["w"][2]
    assert w[4] == pytest.approx(first["w"][4] - 0.1)
    alpha = handle_at(page, "scale alpha, on the curve")
    assert alpha < first["start"]
    assert alpha == handle_at(page, "scale alpha, among the weights") == value(page, "alpha")
    signs, best = bk.sign(w), bk.weight_alpha(w[None])
    assert value(page, "j") == pytest.approx(((w - alpha * signs) ** 2).sum(), abs=6e-4)
    assert value(page, "mean") == pytest.approx(best[0], abs=6e-4)
    assert value(page, "least") == pytest.approx(((w - bk.weight_hat(w[None], best)[0]) ** 2).sum(), abs=6e-4)
    page.click("text=Set α to the mean")
    assert value(page, "j") == value(page, "least")
    drag(page, "scale alpha, among the weights", 0, 20)
    assert value(page, "j") > value(page, "least")


def test_ste_moves_the_weight_as_binnet_does(page_of: Callable[..., Any]) -> None:
    page, first = page_of("ste"), values_of("ste")
    path = part("widgets.ste").path
    start, rate = first["start"], first["rate"]
    for rule in ("clip", "polynomial"):
        page.click(f"[data-rule={rule}]")
        expected = path(start, rate, rule)
        assert value(page, "end") == pytest.approx(expected[-1], abs=2e-3)
        flip = next(t for t, weight in enumerate(expected) if weight < 0)
        assert text(page, "flips") == f"The sign flips at step {flip}."
    page.click("[data-rule=printed]")
    assert text(page, "flips") == "The sign never flips."
    assert "misprint" in text(page, "why")
    page.click("[data-rule=clip]")
    drag(page, "weight before the first step", 0, -200)
    start = handle_at(page, "weight before the first step")
    assert start == 1.5 == value(page, "end")
    assert "Outside the window" in text(page, "why")
    page.locator('[aria-label="weight before the first step"]').focus()
    for _ in range(3):
        page.keyboard.press("PageDown")
    page.locator("[data-slider=rate]").fill("0.1")
    assert value(page, "end") == pytest.approx(path(0.75, 0.1, "clip")[-1], abs=2e-3)


def test_gradients_are_those_of_the_three_rules(page_of: Callable[..., Any]) -> None:
    page = page_of("gradients")
    gradient = part("widgets.gradients").gradient

    def compare() -> dict[int, dict[str, float]]:
        w, g = ([handle_at(page, f"{name} {i}") for i in range(6)] for name in ("weight", "gradient g"))
        found = {}
        for i in range(6):
            page.locator(f'[aria-label="weight {i}"]').focus()
            found[i] = {rule: value(page, rule) for rule in ("exact", "paper", "plain")}
            for rule, shown in found[i].items():
                assert shown == pytest.approx(gradient(w, g, rule)[i], abs=6e-3), (rule, i)
        return found

    compare()
    drag(page, "weight 0", 0, -80)  # out of the window
    drag(page, "gradient g 2", 0, 30)
    drag(page, "weight 5", 0, -90)  # through zero
    assert handle_at(page, "weight 0") > 1
    assert handle_at(page, "weight 5") > 0
    compare()
    assert "inside the window" in text(page, "why")
    page.click("text=Make Σ g s zero")
    compare()
    page.locator('[aria-label="weight 0"]').focus()
    assert value(page, "share") == value(page, "exact") == 0
    assert "through α alone" in text(page, "why")


def test_kmap_shows_the_maps_of_the_kernels(page_of: Callable[..., Any]) -> None:
    page = page_of("kmap")
    maps = part("widgets.kmap").maps()
    for row, col in ((0, 0), (16, 13), (5, 9)):
        page.locator("[data-slider=row]").fill(str(row))
        page.locator("[data-slider=col]").fill(str(col))
        assert value(page, "k") == pytest.approx(maps["a"][row : row + 4, col : col + 4].mean(), abs=1.5e-3)
        assert value(page, "k") == pytest.approx(maps["k"][row, col], abs=1.5e-3)
        for name in ("with", "without", "exact"):
            assert value(page, name) == pytest.approx(maps[name][row, col], rel=2e-3, abs=2e-3)
    for name in ("with", "without"):
        expected = np.corrcoef(maps[name].ravel(), maps["exact"].ravel())[0, 1]
        assert value(page, f"near-{name}") == pytest.approx(expected, abs=6e-4)
    for name in ("without", "exact", "with"):
        page.click(f"[data-output={name}]")
        drawn = page.evaluate(
            "[...document.querySelectorAll('svg')].at(-1).innerHTML.match(/class=.(neg|pos)/g).length"
        )
        assert drawn == maps["k"].size
        negative = page.locator("svg").last.locator(".neg").count()
        assert negative == (maps[name] < 0).sum()
    box = page.locator("svg").nth(2).bounding_box()  # K
    page.mouse.move(box["x"] + 3.5 * box["width"] / 14, box["y"] + 8.5 * box["height"] / 17)
    assert [page.locator(f"[data-slider={name}]").input_value() for name in ("row", "col")] == ["8", "3"]
    page.keyboard.press("Tab")
    page.locator("[data-slider=row]").focus()
    page.keyboard.press("ArrowRight")
    assert value(page, "k") == pytest.approx(maps["k"][9, 3], abs=1.5e-3)


def test_speed_is_that_of_the_formula(page_of: Callable[..., Any]) -> None:
    page, first = page_of("speed"), values_of("speed")
    assert value(page, "paper") == 62.27  # as the paper says for 256 channels
    for size, expected in first["theory"].items():
        page.click(f'[data-size="{size}"]')
        for channels, theory in zip(first["channels"], expected, strict=True):
            page.locator("[data-slider=channels]").fill(str(channels))
            taps = channels * int(size) ** 2
            assert value(page, "taps") == taps
            assert value(page, "paper") == pytest.approx(theory, abs=6e-3)
            # float32: 32 a cycle; signs: 512 in 1.5 cycles, and one real operation for each result
            assert value(page, "vector") == pytest.approx((taps / 32) / (taps * 1.5 / 512 + 1 / 32), abs=6e-3)
    drag(page, "channels, on the curve", -150, 0)
    assert 1 < int(page.locator("[data-slider=channels]").input_value()) < 1024
    page.locator('[aria-label="channels, on the curve"]').focus()
    page.keyboard.press("Home")
    seen = [value(page, "taps")]
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        seen.append(value(page, "taps"))
    assert seen == sorted(set(seen))
    for before in seen[-2::-1]:
        page.keyboard.press("ArrowLeft")
        assert value(page, "taps") == before
    page.keyboard.press("End")
    assert page.locator('[aria-label="channels, on the curve"]').get_attribute("aria-valuetext") == "1024"


def test_fold_compares_the_count_as_binnet_does(page_of: Callable[..., Any]) -> None:
    page = page_of("fold")
    negative = part("widgets.fold").negative
    names = ("gamma", "beta", "mu", "sigma")
    for numbers in (
        (1, 0.5, 1, 2),
        (-1.3, 0.3, -2.2, 0.7),
        (0.1, 2, 1.1, 4),
        (0.1, -2, 1.1, 4),
        (0, -0.1, 1, 1),
        (-2, -1.8, -3.6, 1),
    ):
        for name, number in zip(names, numbers, strict=True):
            page.locator(f"[data-slider={name}]").fill(str(number))
        expected = negative(*numbers)
        drawn = page.locator("svg circle").evaluate_all("all => all.map(c => c.classList.contains('neg'))")
        assert drawn == expected
        rule = text(page, "rule").split(",")[0].replace("≥", ">=")
        assert [eval(rule, {"d": d}) for d in range(33)] == expected


def test_window_sums_as_the_convolution_does(page_of: Callable[..., Any]) -> None:
    page, first = page_of("window"), values_of("window")
    grid = "all => all.map(g => g.querySelector('text').textContent.replace('−', '-'))"
    for stride in ("1", "2"):
        page.click(f'[data-stride="{stride}"]')
        expected = first["outputs"][int(stride)]
        numbers = [int(v) for v in page.locator("svg g").evaluate_all(grid)[45:] if v]
        assert numbers == [number for row in expected for number in row]
        for row, col in ((0, 0), (len(expected) - 1, 0), (1, len(expected) - 1)):
            page.locator("[data-slider=row]").fill(str(row))
            page.locator("[data-slider=column]").fill(str(col))
            assert value(page, "sum") == expected[row][col]
            assert eval(text(page, "products").replace("−", "-").replace("·", "*")) == expected[row][col]
    page.click('[data-stride="1"]')
    page.locator("svg g").nth(45 + 4 * 3 + 2).hover()
    assert value(page, "sum") == first["outputs"][1][3][2]
    for channels, filters in ((256, 256), (3, 64), (512, 1)):
        page.locator("[data-slider=channels]").fill(str(channels))
        page.locator("[data-slider=filters]").fill(str(filters))
        assert int(text(page, "macs").replace(",", "")) == Layer(channels, 14, filters, 3, 1, 1).macs
        words = bk.pack_signs(np.zeros(9 * channels, np.float32)).size
        assert int(text(page, "words").replace(",", "")) == 14 * 14 * filters * words
        assert value(page, "ratio") == pytest.approx(9 * channels / words, abs=0.06)


def test_levels_are_those_of_the_kernel(page_of: Callable[..., Any]) -> None:
    page, first = page_of("levels"), values_of("levels")
    for k, expected in enumerate(first["levels"], 1):
        page.locator("[data-slider=k]").fill(str(k))
        assert value(page, "q") == pytest.approx(expected, abs=6e-4)
    page.locator("[data-slider=k]").fill("3")
    for right in (-120, 60, 200, 400):
        drag(page, "number x", right, 0)
        x = handle_at(page, "number x")
        assert value(page, "q") == pytest.approx(bk.quantise_input(np.float32([x]), 3)[0], abs=6e-4)
        sign_sum = sum(int(part) for part in text(page, "signs").replace("−", "-").split())
        assert value(page, "q") == pytest.approx(sign_sum / 7, abs=6e-4)
    assert handle_at(page, "number x") == 1.2
    page.locator('[aria-label="number x"]').focus()
    page.keyboard.press("ArrowLeft")
    assert handle_at(page, "number x") == 1.19
    assert text(page, "pairs") == "3 · 3 = 9"
    page.locator("[data-slider=k]").fill("4")
    page.locator('[aria-label="number x"]').focus()
    page.keyboard.press("Home")
    for _ in range(40):  # from -1.2 to -0.8, a half between two levels
        page.keyboard.press("ArrowRight")
    assert handle_at(page, "number x") == -0.8
    assert value(page, "q") == pytest.approx(bk.quantise_input(np.float32([-0.8]), 4)[0], abs=6e-4)
