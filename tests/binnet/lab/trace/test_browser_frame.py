"""The page inside another one: its height, its colours, the keys, and the links to chapters."""

import pytest

from binnet.lab.trace import embedded, write_page

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Playwright's own pipes

FITS = "Math.ceil(document.documentElement.getBoundingClientRect().height) === window.innerHeight"
SIZES = """
() => {
  const { scrollHeight, scrollWidth } = document.documentElement;
  return [scrollHeight, window.innerHeight, scrollWidth, window.innerWidth];
}
"""


def until(page, condition):
    """Wait for a condition in a page or frame, whose policy forbids Playwright's own way: it evaluates text."""
    for _ in range(1200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"does not become true: {condition}")


@pytest.fixture
def open_outer(open_page, picture, tmp_path):
    """A page with the trace in a frame between two long texts, scrolled to the frame; the page and the frame."""

    def opened(frame=None, **options):
        text = frame or embedded(picture, chapters=".")
        outer = tmp_path / "outer.html"
        before, after = "<p style='height: 60rem'><input id=field></p>", "<p style='height: 120rem'>end</p>"
        outer.write_text(f'<!doctype html><title>o</title><body data-theme="dark">{before}{text}{after}', "utf-8")
        page = open_page(outer.as_uri(), **options)
        page.evaluate("scrollTo(0, document.querySelector('iframe').offsetTop)")
        until(page, "window.frames.length === 1")
        inner = page.frames[1]
        inner.wait_for_selector("#steps button")
        return page, inner

    return opened


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_frame_is_as_high_as_its_page(open_outer, width, scheme):
    page, inner = open_outer(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for step in (*range(len(inner.evaluate("trace.meta.steps"))), 0):
        inner.evaluate(f"trace.toStep({step})")
        until(inner, FITS)
        high, room, wide, across = inner.evaluate(SIZES)
        assert (high, wide) == (room, across), step  # no scroll bar takes away width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    folded = inner.evaluate("window.innerHeight")
    inner.click("#whole > summary")
    until(inner, f"window.innerHeight > {folded} + 300")
    until(inner, FITS)


def test_alone_it_is_a_plain_page(open_page):
    page = open_page(viewport={"width": 1200, "height": 500})
    assert page.locator("#whole").evaluate("node => node.open")
    assert page.evaluate("document.documentElement.scrollHeight > window.innerHeight")
    page.mouse.wheel(0, 400)
    until(page, "window.scrollY > 0")


def test_a_sandbox_keeps_its_height_and_scrolls(open_outer, picture):
    frame = embedded(picture, height="30rem").replace("<iframe ", '<iframe sandbox="allow-scripts" ')
    page, inner = open_outer(frame)
    assert page.locator("iframe").bounding_box()["height"] == 30 * 16 + 2
    assert inner.evaluate("document.documentElement.scrollHeight > window.innerHeight")
    inner.click("#forward")
    page.keyboard.press("ArrowRight")
    assert inner.evaluate("trace.state.step") == 2


def test_inside_another_page_it_follows_its_colours(open_outer):
    page, frame = open_outer()
    assert frame.evaluate("document.documentElement.dataset.theme") == "dark"
    frame.click("#forward")
    page.keyboard.press("ArrowRight")
    assert frame.evaluate("trace.state.step") == 2
    page.evaluate("document.body.dataset.theme = 'light'")
    until(frame, "document.documentElement.dataset.theme === 'light'")


def test_arrow_keys_step_at_once_but_not_from_a_field_or_far_away(open_outer):
    page, frame = open_outer()
    now = "trace.state.step"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert frame.evaluate(now) == 1
    page.keyboard.press("End")  # scrolls the page around the frame
    until(page, "scrollY + innerHeight >= document.documentElement.scrollHeight - 2")
    page.keyboard.press("ArrowRight")
    assert frame.evaluate(now) == 1
    page.evaluate("document.getElementById('field').focus({ preventScroll: true })")
    page.evaluate("scrollTo(0, document.querySelector('iframe').offsetTop)")
    page.keyboard.press("ArrowRight")
    assert frame.evaluate(now) == 1
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    assert frame.evaluate(now) == 2


def test_a_step_leads_to_its_chapter(open_outer, tmp_path):
    page, frame = open_outer()
    (tmp_path / "3-dot-products-of-bits.html").write_text("<!doctype html><title>chapter</title>", "utf-8")
    frame.evaluate("trace.toStep(8)")
    assert frame.locator("#step-chapter a").inner_text() == "Chapter 3 Dot products of bits"
    frame.click("#step-chapter a")
    page.wait_for_url((tmp_path / "3-dot-products-of-bits.html").as_uri())


def test_every_step_names_a_chapter_and_links_it_where_it_can(open_page, picture, tmp_path):
    numbers = [1, 4, 4, 4, 4, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 7]
    page = open_page()
    for step, number in enumerate(numbers):
        page.evaluate(f"trace.toStep({step})")
        assert page.locator("#step-chapter").inner_text().startswith(f"Chapter {number} ")
    assert page.locator("#step-chapter a").count() == 0  # alone it does not know where they are
    write_page(picture, tmp_path / "linked.html", chapters="../book/")
    page = open_page((tmp_path / "linked.html").as_uri())
    page.evaluate("trace.toStep(6)")
    link = page.locator("#step-chapter a").evaluate("node => node.href")
    assert link == (tmp_path.parent / "book" / "2-binary-weights.html").as_uri()
