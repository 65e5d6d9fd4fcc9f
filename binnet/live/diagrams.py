"""Diagrams of boxes and arrows, as SVG in the colours of the page: from left to right, and for phones downwards."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from binnet.live.output import put


@dataclass(frozen=True)
class Box:
    """A box of a diagram.

    Attributes
    ----------
    text : str
        Up to three lines; the first one is bold.
    step, lane : float
        Its place: steps go from left to right and lanes downwards, in the form for phones the other way round.
    bits : bool
        Whether it has bits inside, which draws it with a coloured edge.
    """

    text: str
    step: float
    lane: float
    bits: bool = False


@dataclass(frozen=True)
class Arrow:
    """An arrow between two boxes, by their names.

    Attributes
    ----------
    start, end : str
        Names of the boxes; the end is at a later step.
    flows : str
        What flows, written beside the arrow; only straight arrows have room for it.
    bits : bool
        Whether that is bits: the arrow is thick, dashed and coloured then.
    """

    start: str
    end: str
    flows: str = ""
    bits: bool = False


@dataclass(frozen=True)
class Diagram:
    """Boxes by name, the arrows between them, and what is said about them.

    Attributes
    ----------
    boxes : mapping of str to Box
    arrows : sequence of Arrow
    titles : mapping of float to str
        A title for each lane that has one, at its beginning.
    caption : str
        HTML, below the diagram.
    alt : str
        The diagram in words, read aloud.
    """

    boxes: Mapping[str, Box]
    arrows: Sequence[Arrow]
    titles: Mapping[float, str]
    caption: str
    alt: str

    def __post_init__(self) -> None:
        for arrow in self.arrows:
            for name in (arrow.start, arrow.end):
                if name not in self.boxes:
                    raise ValueError(f"an arrow needs two boxes of {', '.join(self.boxes)}, got {name!r}")
            if self.boxes[arrow.start].step >= self.boxes[arrow.end].step:
                raise ValueError(f"the box {arrow.end!r} must be at a later step than {arrow.start!r}")


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels: of boxes, from step to step and from lane to lane; ``down`` is the form for phones."""

    down: bool
    width: float
    height: float
    step: float
    lane: float

    def centre(self, box: Box) -> tuple[float, float]:
        return self.turned(box.step * self.step, box.lane * self.lane)

    def turned(self, along: float, across: float) -> tuple[float, float]:
        """The x and y of a place along the flow and across it."""
        return (across, along) if self.down else (along, across)


def show(diagram: Diagram) -> None:
    """Put a diagram on the page, in a wide form and a narrow one, of which the width of the screen chooses one."""
    steps, lanes = (1 + max(getattr(box, of) for box in diagram.boxes.values()) for of in ("step", "lane"))
    step = 700 / steps
    wide = _Layout(False, width=min(130, step - 44), height=58, step=step, lane=84)
    lane = 352 / lanes
    narrow = _Layout(True, width=min(130, lane - 6), height=56, step=98, lane=lane)
    drawings = _svg(diagram, wide, "wide") + _svg(diagram, narrow, "narrow")
    put(f'<figure class="live diagram">{drawings}<figcaption>{diagram.caption}</figcaption></figure>')


def _svg(diagram: Diagram, layout: _Layout, name: str) -> str:
    centres = [layout.centre(box) for box in diagram.boxes.values()]
    title = 26 if diagram.titles else 4  # room above the boxes
    left = min(x for x, _ in centres) - layout.width / 2 - 4
    top = min(y for _, y in centres) - layout.height / 2 - title
    width = max(x for x, _ in centres) + layout.width / 2 + 4 - left
    height = max(y for _, y in centres) + layout.height / 2 + 4 - top
    parts = [_arrow(arrow, diagram.boxes, layout) for arrow in diagram.arrows]
    parts += [_box(box, layout) for box in diagram.boxes.values()]
    parts += [_title(text, lane, diagram, layout) for lane, text in diagram.titles.items()]
    label = html.escape(diagram.alt, quote=True)
    frame = f'viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" style="max-width: {1.1 * width:.0f}px"'
    head = f'<svg class="{name}" role="img" aria-label="{label}" {frame}>'
    return f"{head}{''.join(parts)}</svg>"


def _box(box: Box, layout: _Layout) -> str:
    x, y = layout.centre(box)
    lines = box.text.split("\n")
    kind = ' class="bits"' if box.bits else ""
    frame = (
        f'<rect{kind} x="{x - layout.width / 2:.1f}" y="{y - layout.height / 2:.1f}" width="{layout.width:.1f}" '
        f'height="{layout.height}" rx="6"/>'
    )
    first = y + 4.5 - 7 * (len(lines) - 1)
    return frame + "".join(
        _text(line, x, first + 14.5 * i, "name" if i == 0 else "quiet", "middle") for i, line in enumerate(lines)
    )


def _title(text: str, lane: float, diagram: Diagram, layout: _Layout) -> str:
    first = min((box for box in diagram.boxes.values() if box.lane == lane), key=lambda box: box.step)
    x, y = layout.centre(first)
    anchor = "middle" if layout.down else "start"
    return _text(text, x if layout.down else x - layout.width / 2, y - layout.height / 2 - 9, "title", anchor)


def _arrow(arrow: Arrow, boxes: Mapping[str, Box], layout: _Layout) -> str:
    """A curve from the edge of one box to the edge of the next, its head, and beside it what flows."""
    start, end = boxes[arrow.start], boxes[arrow.end]
    edge = (layout.height if layout.down else layout.width) / 2 + 1
    first, last = start.step * layout.step + edge, end.step * layout.step - edge
    middle, before, after = (first + last) / 2, start.lane * layout.lane, end.lane * layout.lane

    def at(along: float, across: float) -> str:
        x, y = layout.turned(along, across)
        return f"{x:.1f} {y:.1f}"

    bits = " bits" if arrow.bits else ""
    curve = f"M{at(first, before)}C{at(middle, before)} {at(middle, after)} {at(last - 7, after)}"
    tip = f"M{at(last - 8, after - 4.5)}L{at(last, after)}L{at(last - 8, after + 4.5)}z"
    drawn = f'<path class="flow{bits}" d="{curve}"/><path class="tip{bits}" d="{tip}"/>'
    if not arrow.flows:
        return drawn
    x, y = layout.turned(middle, (before + after) / 2)
    place = (x + 7, y - 3, "flows", "start") if layout.down else (x - 2, y - 7, "flows", "middle")
    return drawn + _text(arrow.flows, *place)


def _text(text: str, x: float, y: float, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
