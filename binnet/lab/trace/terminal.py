"""A trace in the terminal: a table of the steps, small pictures, and one output pixel bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.style import Style
from rich.text import Text

from binnet_kernels.checks import Float, Words

from ...console import Console, printable
from .arithmetic import Trace, windows_of
from .first_pixel import Focus, strongest
from .page import facts
from .picture import Picture
from .steps import number, steps

_SIDE = 22  # columns of a small picture; three of them fit into a terminal of 80
_WORDS = 3  # number of words of the window that are shown as bits
_SHADES = " ░▒▓█"
_BELOW, _ABOVE = (253, 160, 60), (178, 150, 240)  # RGB of the most negative and the most positive number of a map

Map = tuple[str, Float]


def show(picture: Picture, console: Console) -> None:
    """Print a trace on a console."""
    t, focus = picture.trace, strongest(picture.trace)
    console.say(printable(f"{t.layer.name} of {picture.model}, on {picture.image}"))
    console.say(facts(picture))
    for note in picture.notes:
        console.say(f"note: {note}")
    console.say("")
    _say_steps(picture, console)
    if t.K.size > 1:  # a dense layer has one pixel, of which there is nothing to draw
        console.say(f"\nchannel 0 of the input, filter {focus.filter} of the output")
        for line in _pictures(_maps(t, focus.filter), console.colours):
            console.paint(line)
    _say_pixel(t, focus, console)


def _say_steps(picture: Picture, console: Console) -> None:
    """Print a line for each step, in aligned columns."""
    rows = [("step", "equation", "shape", "numbers")]
    for step in steps(picture):
        # The name of a class comes from a file.
        numbers = ", ".join(f"{name} {printable(value)}" for name, value in step.numbers)
        rows.append((step.words.symbol, step.words.equation, step.shape, numbers))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        console.say("  ".join(f"{cell:{width}}" for cell, width in zip(row, (*widths, 0), strict=True)))


def _maps(t: Trace, filter_: int) -> list[Map]:
    found = [("I", t.x[..., 0]), ("A", t.mean_abs_x), ("K", t.K)]
    after = (("⊛", t.dots.astype(np.float32)), ("⊙ Kα", t.y), ("I ∗ W", t.conv))
    return found + [(name, array[..., filter_]) for name, array in after]


# ---------------------------------------------------------------------------------------------- pictures


def _pictures(maps: Sequence[Map], colours: bool) -> Iterator[Text]:
    """Lines of three maps side by side, then of the other three."""
    for start in range(0, len(maps), 3):
        row = maps[start : start + 3]
        drawn = [_drawn(array, colours) for _, array in row]
        yield Text("  ").join(Text(f"{name:{_SIDE}}", style="bold") for name, _ in row)
        for i in range(max(map(len, drawn))):
            yield Text("  ").join(lines[i] if i < len(lines) else Text(" " * _SIDE) for lines in drawn)


def _drawn(array: Float, colours: bool) -> list[Text]:
    """A map as lines of ``_SIDE`` characters, each of which shows two pixels, one above the other."""
    # An even number of rows: a character is twice as high as wide, so that its two pixels are square.
    rows = max(2, round(_SIDE * array.shape[0] / array.shape[1] / 2) * 2) if array.shape[1] else 2
    small = _nearest(array, min(rows, 2 * _SIDE), _SIDE)
    if not colours:  # one shade for each character: every second row of pixels is left out
        return [Text("".join(_shade(v) for v in line)) for line in _scaled(small)[::2]]
    pairs = zip(_coloured(small)[::2], _coloured(small)[1::2], strict=True)
    return [Text.assemble(*(_half(a, b) for a, b in zip(above, below, strict=True))) for above, below in pairs]


def _nearest(array: Float, rows: int, cols: int) -> Float:
    # Nearest neighbours instead of means, which would blur maps of signs to grey.
    r = np.arange(rows) * array.shape[0] // rows
    c = np.arange(cols) * array.shape[1] // cols
    small: Float = np.nan_to_num(array[r][:, c])
    return small


def _scaled(array: Float) -> Float:
    """Scale the values to [0, 1]; a constant map becomes 0."""
    least = array.min()
    scaled: Float = (array - least) / max(array.max() - least, np.float32(1e-30))
    return scaled


def _shade(value: float) -> str:
    return _SHADES[min(int(value * len(_SHADES)), len(_SHADES) - 1)]


def _coloured(array: Float) -> npt.NDArray[np.int64]:
    """RGB colours, int64 (rows, cols, 3): grey for magnitudes; orange, black, violet for negative, zero, positive."""
    if array.min() >= 0:
        return np.repeat((40 + 215 * _scaled(array)).astype(np.int64)[..., None], 3, axis=2)
    share = (array / np.abs(array).max())[..., None]
    colours: npt.NDArray[np.int64] = (np.abs(share) * np.where(share < 0, _BELOW, _ABOVE)).astype(np.int64)
    return colours


def _half(above: npt.NDArray[np.int64], below: npt.NDArray[np.int64]) -> tuple[str, Style]:
    upper, lower = (Color.from_rgb(*map(int, colour)) for colour in (above, below))
    return "▀", Style(color=upper, bgcolor=lower)  # foreground fills the upper half, background the lower


# ---------------------------------------------------------------------------------------------- one pixel


def _say_pixel(t: Trace, focus: Focus, console: Console) -> None:
    row, col, o = focus.row, focus.col, focus.filter
    window = windows_of(t.x_words, t.layer)[row, col].reshape(-1)
    filter_ = t.weight_words[o].reshape(-1)
    differing, dot, border = (int(a[row, col, o]) for a in (t.differing, t.dots, t.border))
    console.say(f"\noutput pixel ({row}, {col}) of filter {o}, lowest bit first, tail bits as dots")
    for i in range(min(_WORDS, len(window))):
        _say_word(t, i, window, filter_, console)
    if len(window) > _WORDS:
        console.say(f"  … and {len(window) - _WORDS} more words")
    corrected = f" − {border} of the border" if border > 0 else f" + {-border} of the border" if border else ""
    console.say(f"{t.n} − 2·{differing}{corrected} = {number(dot)}")
    K, alpha, y, conv = t.K[row, col], t.layer.alpha[o], t.y[row, col, o], t.conv[row, col, o]
    console.say(f"{number(dot)} × K {number(K)} × α {number(alpha)} = {number(y)}; in floats {number(conv)}")


def _say_word(t: Trace, i: int, window: Words, filter_: Words, console: Console) -> None:
    _, _, kw, c = t.layer.weight_sign.shape
    tap, word = divmod(i, t.words)
    # The last word of a tap may be partly filled; the rest are tail bits.
    real = min(64, c - 64 * word)
    differs = window[i] ^ filter_[i]
    console.say(f"  tap {tap // kw},{tap % kw}" + (f", word {word}" if t.words > 1 else ""))
    console.say(f"    input  {_bits(window[i], real)}")
    console.say(f"    filter {_bits(filter_[i], real)}")
    console.say(f"    XOR    {_bits(differs, real)}  popcount {int(np.bitwise_count(differs))}")


def _bits(word: np.uint64, real: int) -> str:
    letters = f"{int(word):064b}"[::-1][:real].ljust(64, "·")  # reversed, because channel 0 is the lowest bit
    return " ".join(letters[i : i + 8] for i in range(0, 64, 8))
