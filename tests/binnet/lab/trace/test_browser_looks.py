"""How the page looks, at two widths, light and dark: order, nothing cut, colours that mean the same everywhere."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from binnet.lab.trace import open_source, trace_image, write_page

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Playwright's own pipes

X, SIGN_X, WEIGHT, WORDS, XOR, POPCOUNT, DOTS = 1, 4, 5, 8, 9, 10, 11
WIDTHS, SCHEMES = (400, 1200), ("light", "dark")
every_look = pytest.mark.parametrize(("width", "scheme"), [(w, s) for w in WIDTHS for s in SCHEMES])

# PuOr of ColorBrewer, as matplotlib has it: from the most negative to the most positive number.
PUOR = np.array([
    (127, 59, 8), (179, 88, 6), (224, 130, 20), (253, 184, 99), (254, 224, 182), (247, 247, 247), (216, 218, 235),
    (178, 171, 210), (128, 115, 172), (84, 39, 136), (45, 0, 75),
])  # fmt: skip
DIMMED = {"light": 1.0, "dark": 0.72}

# Run in the page.
COLOUR_BEHIND = """
(node) => {
  while (getComputedStyle(node).backgroundColor === "rgba(0, 0, 0, 0)") node = node.parentElement;
  return getComputedStyle(node).backgroundColor;
}
"""
# What is wider than its box or stands outside the window. The list of steps and the table in hexadecimal scroll.
CUT = """
() => {
  const free = (node) => node.closest("#steps, .hex, .hidden, .patch.small, noscript, svg") === null;
  const nodes = [...document.body.querySelectorAll("*")].filter((node) => free(node) && node.getClientRects().length);
  const isBox = (node) => getComputedStyle(node).display !== "inline";
  const wide = nodes.filter((node) => isBox(node) && node.scrollWidth > node.clientWidth + 1);
  const out = nodes.filter((node) => {
    const { left, right } = node.getBoundingClientRect();
    return left < -1 || right > document.documentElement.clientWidth + 1;
  });
  return [...wide, ...out].map((node) => `${node.tagName} ${node.className} ${node.textContent.slice(0, 60)}`);
}
"""
SIGNS = "(html) => ['--negative', '--positive'].map((name) => getComputedStyle(html).getPropertyValue(name))"
BEFORE = "(node) => getComputedStyle(node, '::before').backgroundColor"
BACKGROUND = "(node) => getComputedStyle(node).backgroundColor"
PNG = "(canvas) => canvas.toDataURL()"


def step_to(page, step):
    page.evaluate(f"trace.toStep({step})")


def look(open_page, width, scheme):
    return open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)


def pixels_of(canvas):
    """The pixels of a canvas, int (rows, cols, 3)."""
    png = canvas.evaluate(PNG).partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")).astype(int)[..., :3]


def puor(share, scheme):
    """The colours, int (..., 3), of numbers as shares of the largest magnitude, in 256 levels."""
    levels = np.clip(np.floor((np.asarray(share, np.float64) + 1) * 128), 0, 255) / 255
    channels = [np.interp(levels, np.linspace(0, 1, 11), PUOR[:, i]) for i in range(3)]
    return np.floor(DIMMED[scheme] * np.stack(channels, axis=-1) + 0.5)


def rgb(text):
    return [int(v) for v in text[text.index("(") + 1 : -1].split(",")[:3]]


def signs_of_theme(page):
    """The colours of -1 and +1 as the style sheet has them, int (3,) each."""
    names = page.locator("html").evaluate(SIGNS)
    return [np.array([int(name.strip()[i : i + 2], 16) for i in (1, 3, 5)]) for name in names]


@every_look
def test_nothing_is_cut_and_the_picture_comes_first(open_page, width, scheme):
    page = look(open_page, width, scheme)
    for step in range(len(page.evaluate("trace.meta.steps"))):
        step_to(page, step)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == [], step
        shown = page.locator("#maps canvas, #maps img, #sheets canvas, #details canvas").first.bounding_box()
        controls = page.locator(".controls").bounding_box()
        if width == 400:
            assert shown["y"] + shown["height"] < controls["y"], step
        else:
            assert shown["x"] > controls["x"] + controls["width"], step
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_the_table_in_hexadecimal_scrolls_where_it_does_not_fit(open_page):
    page = look(open_page, 400, "light")
    step_to(page, POPCOUNT)
    page.locator(".details details summary").click()
    page.locator(".hex tbody tr").first.wait_for()
    box = page.locator(".details .scroll")
    assert box.evaluate("node => node.scrollWidth > node.clientWidth && getComputedStyle(node).overflowX === 'auto'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@every_look
def test_maps_of_signed_numbers_have_the_colours_of_the_documentation(open_page, picture, width, scheme):
    page = look(open_page, width, scheme)
    step_to(page, DOTS)
    f, (row, col) = page.evaluate("[trace.state.filter, trace.state.pixel]")
    dots = picture.trace.dots[..., f]
    image = pixels_of(page.locator("#maps canvas").nth(1))
    rows, cols = dots.shape
    side = image.shape[0] / rows
    found = np.array([[image[int((r + 0.5) * side), int((c + 0.5) * side)] for c in range(cols)] for r in range(rows)])
    expected = puor(dots / np.abs(dots).max(), scheme)
    free = np.ones(dots.shape, bool)
    free[row, col] = False  # its outline is drawn over it
    np.testing.assert_array_equal(found[free], expected[free])
    assert expected.max() <= 255 * DIMMED[scheme]  # a dark page has no white map


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_number_has_its_colour(open_page, scheme):
    page = look(open_page, 1200, scheme)
    values = np.linspace(-2.5, 2.5, 333)
    found = page.evaluate(f"{values.tolist()}.map(trace.scaleOf('diverging', -1, 2.5).colour)")
    np.testing.assert_array_equal(found, puor(values / 2.5, scheme))


@every_look
def test_signs_have_two_colours_and_a_legend(open_page, picture, width, scheme):
    page, t = look(open_page, width, scheme), picture.trace
    negative, positive = signs_of_theme(page)
    for colour, side in ((negative, 0), (positive, 1)):
        place = abs(side - (0.15 if scheme == "light" else 0.25))
        expected = [np.interp(place, np.linspace(0, 1, 11), PUOR[:, i]) * DIMMED[scheme] for i in range(3)]
        np.testing.assert_allclose(colour, expected, atol=1)
    step_to(page, SIGN_X)
    image = pixels_of(page.locator("#maps canvas").nth(1))
    side = image.shape[0] / 14  # 12 rows and the border on both sides
    (row, col), wrong = page.evaluate("trace.state.pixel"), []
    for r, c in np.ndindex(12, 12):
        if 2 * row - 2 <= r <= 2 * row + 2 and 2 * col - 2 <= c <= 2 * col + 2:
            continue  # under the outline of the window
        expected = negative if t.x[r, c, 0] < 0 else positive
        if (image[int((r + 1.5) * side), int((c + 1.5) * side)] != expected).any():
            wrong.append((r, c))
    assert wrong == []
    for step, place in ((X, "#maps .signs"), (SIGN_X, "#maps .signs"), (X, "#sheets .signs"), (DOTS, "#maps .signs")):
        step_to(page, step)
        entries = page.locator(place).last.locator("span")
        assert entries.all_inner_texts() == ["orange: negative", "violet: positive"]
        swatches = [rgb(entries.nth(i).evaluate(BEFORE)) for i in (0, 1)]
        assert swatches == [negative.tolist(), positive.tolist()]
    panel = page.locator(".ledger").evaluate(COLOUR_BEHIND)
    for colour in (negative, positive):
        assert contrast(f"rgb({', '.join(map(str, colour))})", panel) >= 3


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_of_a_packed_model_have_the_colours_of_signs(open_page, folder, image_file, tmp_path, scheme):
    picture = trace_image(open_source(str(folder / "packed.h5")), image_file)
    write_page(picture, tmp_path / "packed.html")
    page = open_page((tmp_path / "packed.html").as_uri(), color_scheme=scheme)
    step_to(page, WEIGHT)
    colours = page.locator(".patch td").evaluate_all(f"(nodes) => nodes.map({BACKGROUND})")
    negative, positive = (colour.tolist() for colour in signs_of_theme(page))
    signs = picture.trace.layer.weight_sign[page.evaluate("trace.state.filter"), ..., 0].ravel()
    assert [rgb(colour) for colour in colours] == [negative if sign < 0 else positive for sign in signs]


@every_look
def test_bits_have_the_colours_of_signs(open_page, picture, width, scheme):
    page, t = look(open_page, width, scheme), picture.trace
    negative, positive = signs_of_theme(page)
    page.evaluate("trace.lookAt(2, 3, true)")
    f = page.evaluate("trace.state.filter")
    words = [int(t.x_words[3, 5, 0]), int(t.weight_words[f, 0, 0, 0])]
    for step, rows in ((WORDS, words), (XOR, [*words, words[0] ^ words[1]])):
        step_to(page, step)
        canvas = page.locator(".bits canvas")
        image = pixels_of(canvas)
        assert image.shape[1] <= page.locator(".bits").evaluate("node => node.clientWidth")
        is_bit = (image == negative).all(axis=2) | (image == positive).all(axis=2)
        first = np.flatnonzero(is_bit.any(axis=0))[0] + 1  # a column inside the first bits of all words
        middles = [int((start + end) / 2) for start, end in runs(is_bit[:, first])]
        assert len(middles) == 9 * len(rows)  # taps; the 32 channels fit into half a word
        for middle, word in zip(middles, rows, strict=False):
            bits = [int((image[middle, int((a + b) / 2)] == negative).all()) for a, b in runs(is_bit[middle])]
            assert bits == [word >> i & 1 for i in range(32)]


def runs(flags):
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(start, end - 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def contrast(a, b):
    """Contrast ratio (WCAG 2.2) of two colours in the browser's notation."""

    def luminance(text):
        parts = [int(v) / 255 for v in text[text.index("(") + 1 : -1].split(",")[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(f"trace.toStep({POPCOUNT})")
    body = page.evaluate("getComputedStyle(document.body).backgroundColor")
    places = [".over", ".facts", "#step-text", "#step-equation", ".numbers dt", ".hint", ".good", "footer", ".sum b"]
    for place in places:
        colour = page.locator(place).first.evaluate("node => getComputedStyle(node).color")
        assert contrast(colour, body) >= 4.5, place
    for place in (".steps [aria-current]", ".steps button", ".ledger small", ".formula"):
        one = page.locator(place).first
        colour = one.evaluate("node => getComputedStyle(node).color")
        assert contrast(colour, one.evaluate(COLOUR_BEHIND)) >= 4.5, place
