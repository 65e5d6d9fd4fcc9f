"""The steps of a trace in words: title, equation, explanation and numbers of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .answer import Answer
from .approximation import Fit, fit
from .arithmetic import Trace
from .chapters import BITS, CONVOLUTION, COST, SCALES, WEIGHTS, WHY, Chapter
from .picture import Picture

Number = tuple[str, str]  # a label and a value


@dataclass(frozen=True)
class Words:
    """Texts of a step that are the same for every layer.

    Attributes
    ----------
    key : str
        Identifier; for a step with one array it is the field of :class:`Trace`.
    chapter : Chapter
        The chapter of the documentation that explains the step.
    symbol, title : str
        Symbol in Eq. 11, and heading.
    equation : str
        Section or equation of arXiv:1603.05279.
    formula : str
        The formula as HTML.
    text : str
        Explanation in one or two sentences.
    """

    key: str
    chapter: Chapter
    symbol: str
    title: str
    equation: str
    formula: str
    text: str


@dataclass(frozen=True)
class Step:
    """A step of a trace: its texts, the shape of its array, and its numbers."""

    words: Words
    shape: str
    numbers: tuple[Number, ...]


_I, _W, _K = "<i>I</i>", "<i>W</i>", "<i>K</i>"
_STAR = " <span class='op'>∗</span> "
_SIGNS = f"sign({_I}) <span class='op'>⊛</span> sign({_W})"

WORDS = (
    Words(
        "image",
        WHY,
        "image",
        "The image",
        "",
        "(<i>pixels</i> / 255 − <i>mean</i>) / <i>std</i>",
        "The network sees the image at its own size, normalised for each channel. The layers named below turn it into "
        "the input of the traced layer.",
    ),
    Words(
        "x",
        SCALES,
        "I",
        "The input",
        "Section 3",
        f"{_I} ∈ <b>R</b><sup><i>h</i>×<i>w</i>×<i>c</i></sup>",
        "Batch normalisation precedes a binary layer (figure 3 of the paper), so that about half of the input is "
        "negative and its signs carry the most information.",
    ),
    Words(
        "mean_abs_x",
        SCALES,
        "A",
        "Mean magnitude over channels",
        "Section 3.2",
        f"<i>A</i> = Σ<sub><i>i</i></sub> |{_I}<sub>:,:,<i>i</i></sub>| / <i>c</i>",
        "Signs lose the magnitude of the input. A keeps it, as one number per pixel for all channels together.",
    ),
    Words(
        "K",
        SCALES,
        "K",
        "Scales of the input",
        "Section 3.2",
        f"{_K} = <i>A</i>{_STAR}<i>k</i>,   <i>k</i><sub><i>ij</i></sub> = 1 / (<i>w</i> · <i>h</i>)",
        "The mean of A under the window is β, the best scale of that window. One small convolution (∗) with the box "
        "filter k computes it for all windows at once. The border counts as 0.",
    ),
    Words(
        "sign_x",
        SCALES,
        "sign(I)",
        "Signs of the input",
        "Eq. 9",
        f"<i>H</i> = sign({_I}) ∈ {{−1, +1}}",
        "The sign is −1 for negative numbers and +1 otherwise, also for zero. The multiplication uses nothing else of "
        "the input.",
    ),
    Words(
        "weight",
        WEIGHTS,
        "W",
        "The real weights",
        "Eq. 1",
        f"{_W} ∈ <b>R</b><sup><i>h</i>×<i>w</i>×<i>c</i></sup>",
        "Training keeps real weights and updates them; each layer binarises them before it computes.",
    ),
    Words(
        "alpha",
        WEIGHTS,
        "α",
        "Scale of the filter",
        "Eq. 6",
        f"α = ‖{_W}‖<sub>1</sub> / <i>n</i>",
        "The mean of |W| over the n weights of a filter is the scale for which α sign(W) lies closest to W "
        "(Eqs. 2 to 5). One number for each filter.",
    ),
    Words(
        "weight_sign",
        WEIGHTS,
        "sign(W)",
        "Signs of the weights",
        "Eq. 4",
        f"<i>B</i> = sign({_W}) ∈ {{−1, +1}}",
        "The signs of W are the best binary weights, whatever the scale.",
    ),
    Words(
        "words",
        BITS,
        "bits",
        "Signs packed into words",
        "Section 3.2",
        "−1 → 1,   +1 → 0",
        "64 signs fit into one word, lowest bit first. Each position of the window (a tap) has one sign per channel "
        "and starts a new word; the unused bits, called tail bits, are 0 in both operands.",
    ),
    Words(
        "xor",
        BITS,
        "XOR",
        "Where the signs differ",
        "Eq. 11",
        "<i>a</i> XOR <i>b</i>",
        "The product of two signs is −1 exactly where their bits differ. One XOR compares 64 pairs; XNOR is its "
        "complement. Tail bits are equal in both operands.",
    ),
    Words(
        "popcount",
        BITS,
        "popcount",
        "How many differ",
        "Eq. 11",
        "differing = Σ<sub>words</sub> popcount(<i>a</i> XOR <i>b</i>)",
        "One instruction counts the 1 bits of a word; the counts of all words of the window are added.",
    ),
    Words(
        "dots",
        CONVOLUTION,
        "⊛",
        "Dot product of signs",
        "Eq. 11",
        f"{_SIGNS} = <i>n</i> − 2 · differing",
        "⊛ is a convolution of signs with signs. Of its n products, those whose signs differ are −1 and the others +1. "
        "A bit cannot represent the 0 of a border: it counts as +1, and its contribution is subtracted.",
    ),
    Words(
        "y",
        CONVOLUTION,
        "⊙ Kα",
        "Multiplied by the scales",
        "Eq. 11",
        f"( {_SIGNS} ) <span class='op'>⊙</span> {_K} α",
        "⊙ multiplies element by element: by K for each pixel, and by α for each filter. These are the only "
        "multiplications of real numbers.",
    ),
    Words(
        "conv",
        CONVOLUTION,
        "I ∗ W",
        "What it approximates",
        "Eq. 11",
        f"{_I}{_STAR}{_W}",
        "The same layer in floats, with n multiplications for each number of its output.",
    ),
    Words(
        "error",
        CONVOLUTION,
        "error",
        "How close it comes",
        "Eqs. 10, 11",
        f"{_I}{_STAR}{_W} ≈ ( {_SIGNS} ) <span class='op'>⊙</span> {_K} α",
        "The error is the norm of the difference over the norm of the float convolution. The correlation measures how "
        "much of the pattern is right; a following normalisation corrects scale and shift but not the pattern.",
    ),
)

# The last step, where the network gives scores of classes.
ANSWER = Words(
    "answer",
    COST,
    "answer",
    "What the network says",
    "",
    "<i>p</i> = softmax(<i>scores</i>)",
    "The layers behind the traced one turn its output into a score for each class, and softmax turns the scores into "
    "probabilities. The network's answer is the most probable class.",
)


def steps(picture: Picture) -> list[Step]:
    """The steps of a trace in order, with their shapes and numbers."""
    t, (h, w, c) = picture.trace, picture.trace.x.shape
    o, kh, kw, _ = t.layer.weight_sign.shape
    size = f"{t.layer.window.size[0]}×{t.layer.window.size[1]}"
    # Most networks leave K out, so the closeness is given with K and without it.
    weight, fits = t.layer.weight, (fit(t.y, t.conv), fit(t.y_without_k, t.conv))
    shapes: dict[str, tuple[str, Sequence[Number]]] = {
        "image": (_shape(picture.pixels), [("layers before", str(len(picture.before)))]),
        "x": (_shape(t.x), [*_range(t.x), ("below zero", f"{(t.x < 0).mean():.1%}")]),
        "mean_abs_x": (_shape(t.mean_abs_x), _range(t.mean_abs_x)),
        "K": (_shape(t.K), [("window", size), *_range(t.K)]),
        "sign_x": (_shape(t.sign_x), [("mean", number(t.sign_x.mean()))]),
        "weight": (_shape(t.layer.weight_sign), _weight_numbers(t)),
        "alpha": (f"{o}", [*_range(t.layer.alpha), *_energy(t)]),
        "weight_sign": (_shape(t.layer.weight_sign), [("mean", number(t.layer.weight_sign.mean()))]),
        "words": (f"{h}×{w}×{t.words}, {o}×{kh}×{kw}×{t.words}", _word_numbers(t)),
        "xor": (f"{_shape(t.dots)} × {kh * kw * t.words} words", [("tail bits a tap", str(64 * t.words - c))]),
        "popcount": (_shape(t.differing), [*_range(t.differing), ("share of n", f"{t.differing.mean() / t.n:.1%}")]),
        "dots": (_shape(t.dots), [("n", f"{t.n:,}"), *_range(t.dots)]),
        "y": (_shape(t.y), _range(t.y)),
        "conv": (_shape(t.conv), [*_range(t.conv), ("weights", "W" if weight is not None else "α·sign(W)")]),
        "error": (_shape(t.y), _closeness(*fits)),
    }
    # By key and not by position: a step without numbers is a KeyError, not a shifted table.
    found = [Step(words, shapes[words.key][0], tuple(shapes[words.key][1])) for words in WORDS]
    return found if picture.answer is None else [*found, _last(picture.answer)]


def _last(answer: Answer) -> Step:
    numbers = [("class", answer.names[0]), ("probability", f"{answer.probabilities[0]:.2%}")]
    if answer.verdict is not None:
        numbers.append(("packed model", answer.verdict))
    return Step(ANSWER, str(answer.count), tuple(numbers))


def number(value: float) -> str:
    """A number as text: integers in full, others with four significant digits, NaN as a dash."""
    if np.isnan(value):  # the correlation of a constant map
        return "–"
    text = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"
    return text.replace("-", "−")


def _shape(array: npt.NDArray[np.generic]) -> str:
    return "×".join(map(str, array.shape))


def _range(array: npt.NDArray[np.generic]) -> list[Number]:
    values = np.asarray(array, np.float64)
    return [("range", f"{number(values.min())} … {number(values.max())}"), ("mean", number(values.mean()))]


def _weight_numbers(t: Trace) -> list[Number]:
    if t.layer.weight is None:
        return [("real weights", "not in a packed model")]
    return [*_range(t.layer.weight), ("mean of |W|", number(np.abs(t.layer.weight).mean()))]


def _energy(t: Trace) -> list[Number]:
    """The distance of α sign(W) from W: J of Eq. 2 divided by ‖W‖²."""
    if t.layer.weight is None:
        return []
    weight = np.asarray(t.layer.weight, np.float64)  # differences of near numbers are squared and summed
    left, whole = ((weight - t.weight_hat) ** 2).sum(), (weight**2).sum()
    return [("‖W − αB‖² / ‖W‖²", number(left / whole if whole else np.nan))]


def _word_numbers(t: Trace) -> list[Number]:
    ours, floats = t.weight_words.nbytes, 4 * t.layer.weight_sign.size
    return [
        ("words a tap", str(t.words)),
        ("words a window", str(t.weight_words[0].size)),
        ("weights", f"{ours:,} bytes, {floats:,} as floats"),
    ]


def _closeness(with_k: Fit, without_k: Fit) -> list[Number]:
    return [
        ("error with K", number(with_k.error)),
        ("correlation with K", number(with_k.correlation)),
        ("error without K", number(without_k.error)),
        ("correlation without K", number(without_k.correlation)),
    ]
