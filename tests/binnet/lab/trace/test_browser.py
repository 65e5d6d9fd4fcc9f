"""The page in a real browser: mouse, keys, and no errors. Skipped without a browser."""

import numpy as np
import pytest

import binnet

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Playwright's own pipes

STEPS = 16
XOR, POPCOUNT, ERROR = 9, 10, 14

# Run in the page.
EVERYWHERE = """
[0, 1, 2, 3, 4, 5].flatMap((r) => [0, 1, 2, 3, 4, 5].flatMap((c) =>
  [...Array(64).keys()].map((f) => trace.{}(r, c, f))
))
"""
NAMELESS = """
[...document.querySelectorAll("canvas, img, button, input, [role=region]")].filter((node) =>
  !(node.ariaLabel || node.alt || node.textContent.trim() || node.labels?.length || node.ariaLabelledByElements?.length)
).map((node) => node.outerHTML)
"""
FOCUSED = """
document.activeElement.id || document.activeElement.getAttribute("role") || document.activeElement.tagName
"""


def pixel_box(page, map_number, row, col, rows):
    """The centre of an output pixel of a map, in page coordinates."""
    box = page.locator(".maps canvas").nth(map_number).bounding_box()
    side = box["height"] / rows
    return box["x"] + (col + 0.5) * side, box["y"] + (row + 0.5) * side


def ledger(page):
    """The chain of numbers as a dictionary."""
    names, values = (page.locator(f".ledger {tag}").all_inner_texts() for tag in ("small", "b"))
    return dict(zip(names, values, strict=True))


def test_every_step_can_be_reached_forth_and_back(open_page):
    page = open_page()
    titles = []
    for _ in range(STEPS):
        titles.append(page.locator("#step-title").inner_text())
        assert page.locator("#step-formula").inner_text().strip()
        page.keyboard.press("ArrowRight")
    assert len(set(titles)) == STEPS
    assert page.locator("#steps [aria-current=step]").inner_text() == "answer"
    assert page.locator("#forward").is_disabled()
    for title in reversed(titles[:-1]):
        page.keyboard.press("ArrowLeft")
        assert page.locator("#step-title").inner_text() == title
    assert "Step 1: The image" in page.locator("#spoken").inner_text()


def test_home_and_end_go_to_the_first_and_last_step(open_page):
    page = open_page()
    page.keyboard.press("End")
    assert page.evaluate("trace.state.step") == STEPS - 1
    page.keyboard.press("Home")
    assert page.evaluate("trace.state.step") == 0
    page.locator("#filter").focus()
    page.keyboard.press("End")  # belongs to the slider here
    assert page.evaluate("[trace.state.step, trace.state.filter]") == [0, 63]


def test_the_last_step_shows_the_answer_of_the_network(open_page, net, picture, folder, image_file):
    page = open_page()
    page.evaluate(f"trace.toStep({STEPS - 1})")
    x = (picture.pixels[None].astype(np.float32) / 255 - np.float32(0.4)) / np.float32(0.25)
    logits = net(binnet.Tensor(x)).numpy()[0].astype(np.float64)
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    packed = dict(binnet.load(folder / "packed.h5").predict(image_file))
    order = np.argsort(-shares)
    expected = [[("cat", "owl")[i], f"{shares[i]:.2%}", f"{packed[('cat', 'owl')[i]]:.2%}"] for i in order]
    rows = [row.locator("th, td:not(.bar)").all_inner_texts() for row in page.locator(".ranking tbody tr").all()]
    assert rows == expected
    assert page.locator("#step-numbers dd").all_inner_texts() == ["2", *expected[0][:2], "the same class"]


def test_buttons_step_too(open_page):
    page = open_page()
    page.click("#forward")
    page.click("#steps button >> text=popcount")
    assert page.locator("#step-title").inner_text() == "How many differ"
    page.click("#back")
    assert page.locator("#step-title").inner_text() == "Where the signs differ"


def test_moving_over_a_map_shows_that_pixel(open_page, picture):
    page, t = open_page(), picture.trace
    page.evaluate(f"trace.toStep({POPCOUNT})")
    f = page.evaluate("trace.state.filter")
    for row, col in ((0, 0), (3, 4), (5, 1)):
        page.mouse.move(*pixel_box(page, 0, row, col, 6))
        assert f"output pixel ({row}, {col}), filter {f}" in page.locator(".ledger").inner_text()
        assert page.evaluate("trace.state.pixel") == [row, col]
        shown = ledger(page)
        assert shown["differing"] == str(t.differing[row, col, f])
        assert shown["dot ⊛"].replace("−", "-") == str(t.dots[row, col, f])
        assert float(shown["binary"].replace("−", "-")) == pytest.approx(t.y[row, col, f], rel=1e-3)
        assert float(shown["float"].replace("−", "-")) == pytest.approx(t.conv[row, col, f], rel=1e-3)
        assert "✓ as computed by binnet" in page.locator(".details").inner_text()
    kept = page.evaluate("trace.state.kept")
    page.mouse.move(5, 5)
    assert page.evaluate("trace.state.pixel") == kept
    page.mouse.click(*pixel_box(page, 0, 2, 3, 6))
    page.mouse.move(5, 5)
    assert page.evaluate("trace.state.pixel") == [2, 3]


def test_moving_over_the_input_finds_the_window(open_page):
    page = open_page()
    page.evaluate(f"trace.toStep({XOR})")
    box = page.locator(".maps canvas").first.bounding_box()
    side = box["height"] / 14  # 12 rows and the border on both sides
    page.mouse.move(box["x"] + 5.5 * side, box["y"] + 9.5 * side)  # input row 8, column 4, the middle of window (4, 2)
    assert page.evaluate("trace.state.pixel") == [4, 2]


def test_the_page_counts_the_same_bits_as_python(open_page, picture):
    page, t = open_page(), picture.trace
    same = {"countDiffering": t.differing, "borderOf": t.border, "errorOf": t.y - t.conv, "withoutK": t.y_without_k}
    for function, expected in same.items():
        found = np.array(page.evaluate(EVERYWHERE.replace("{}", function)), np.float64)
        np.testing.assert_array_equal(found.reshape(expected.shape), np.asarray(expected, np.float64))


def test_arrow_keys_on_a_map_move_the_pixel(open_page):
    page = open_page()
    page.evaluate(f"trace.toStep({ERROR})")
    page.mouse.click(*pixel_box(page, 0, 2, 2, 6))
    page.mouse.move(5, 5)
    page.locator(".maps canvas").nth(1).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("[trace.state.pixel, trace.state.step]") == [[4, 3], ERROR]
    assert "Pixel 4, 3: binary" in page.locator("#spoken").inner_text()
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("trace.state.pixel") == [5, 3]
    page.keyboard.press("Shift+ArrowLeft")
    assert page.evaluate("trace.state.step") == ERROR - 1


def test_zoom_enlarges_the_map_inside_its_frame(open_page):
    page = open_page()
    page.evaluate("trace.toStep(1)")
    canvas = page.locator(".maps canvas").first
    before, wide = canvas.bounding_box()["width"], page.evaluate("document.documentElement.scrollWidth")
    canvas.focus()
    for _ in range(4):
        page.keyboard.press("+")
    assert page.locator("#zoom-value").inner_text() == "3×"
    assert canvas.bounding_box()["width"] == pytest.approx(3 * before, abs=2)
    assert page.evaluate("document.documentElement.scrollWidth") == wide
    page.keyboard.press("-")
    assert page.locator("#zoom-value").inner_text() == "2.5×"


def test_filter_and_channel_can_be_chosen(open_page, picture):
    page = open_page()
    page.evaluate("trace.toStep(5)")
    page.locator("#filter").fill("7")
    page.locator("#channel").fill("5")
    assert "filter 7, channel 5" in page.locator(".patch caption").inner_text()
    shown = page.locator(".patch td").first.get_attribute("title").replace("−", "-")
    assert float(shown) == pytest.approx(picture.trace.layer.weight[7, 0, 0, 5], rel=1e-3)
    page.locator("#filter").focus()
    page.keyboard.press("ArrowRight")  # belongs to the slider here
    assert page.evaluate("[trace.state.filter, trace.state.step]") == [8, 5]
    page.locator("#sheets canvas").click(position={"x": 10, "y": 10})
    assert page.evaluate("trace.state.channel") == 0


def test_bits_and_hexadecimal(open_page, picture):
    page, t = open_page(), picture.trace
    page.evaluate(f"trace.toStep({POPCOUNT})")
    page.evaluate("trace.lookAt(2, 3, true)")
    f = page.evaluate("trace.state.filter")
    assert "tail bits: 32 channels leave 32 unused" in page.locator(".key").inner_text()
    page.click("details summary")
    row = page.locator(".hex tbody tr").first.locator("td").all_inner_texts()
    a, b = int(t.x_words[3, 5, 0]), int(t.weight_words[f, 0, 0, 0])
    assert row == ["0,0", f"{a:016x}", f"{b:016x}", f"{a ^ b:016x}", str((a ^ b).bit_count())]
    box = page.locator(".bits canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 4)
    assert "a tail bit, 0 in both words" in page.locator(".details .said").inner_text()
    page.mouse.move(box["x"] + 70, box["y"] + 4)
    assert "tap 0,0, channel " in page.locator(".details .said").inner_text()


def test_everything_has_a_name_and_can_be_reached_by_keyboard(open_page):
    page = open_page()
    page.evaluate(f"trace.toStep({POPCOUNT})")
    assert page.evaluate(NAMELESS) == []
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert {"back", "forward", "filter", "channel", "zoom", "application", "region", "SUMMARY"} <= reached


def test_without_scripts_the_numbers_are_there(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("tbody tr").count() == STEPS
    assert "The pictures need JavaScript" in page.locator("noscript").inner_text()
