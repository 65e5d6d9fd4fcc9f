"""The diagrams of the pages: the order of a block, and the flow of data in the XNOR convolution."""

from __future__ import annotations

from binnet.live.diagrams import Arrow, Box, Diagram, show

_ORDERS = Diagram(
    boxes={
        "C": Box("Conv\n∗ real W", 0, 0),
        "B": Box("BNorm\nmean 0, σ 1", 1, 0),
        "A": Box("Activ\nReLU", 2, 0),
        "P": Box("Pool\nlargest value", 3, 0),
        "end": Box("next block", 4, 0),
        "b": Box("BNorm\nmean 0, σ 1", 0, 1.25),
        "a": Box("BinActiv\nsign", 1, 1.25, bits=True),
        "c": Box("BinConv\nsigns of W, α", 2, 1.25, bits=True),
        "p": Box("Pool\nlargest value", 3, 1.25),
        "finish": Box("next block", 4, 1.25),
    },
    arrows=[
        *(Arrow(*pair, "real") for pair in (("C", "B"), ("B", "A"), ("A", "P"), ("P", "end"))),
        *(Arrow(*pair, "real") for pair in (("b", "a"), ("c", "p"), ("p", "finish"))),
        Arrow("a", "c", "bits", bits=True),
    ],
    titles={0: "Usual block", 1.25: "XNOR block"},
    caption=(
        "Figure 3 of the paper: the order of a usual block, and of a block of an XNOR-Network. Thin arrows carry real "
        "numbers, the thick dashed one carries bits. Normalisation stands before the sign, pooling behind the "
        "convolution, where the values are real."
    ),
    alt=(
        "Two chains of boxes. The usual block: convolution, batch normalisation, activation, pooling, with real "
        "numbers between all of them. The XNOR block: batch normalisation, binary activation, binary convolution, "
        "pooling; bits flow from the activation to the convolution, and real numbers everywhere else."
    ),
)

_XNOR = Diagram(
    boxes={
        "I": Box("I\nreal input", 0, 0.5),
        "W": Box("W\nreal filters", 0, 2.5),
        "A": Box("A\nmean |I| over\nchannels", 1, 0),
        "sign I": Box("sign(I)\nbits", 1, 1, bits=True),
        "sign W": Box("sign(W)\nbits", 1, 2, bits=True),
        "α": Box("α\nmean |W|\nof a filter", 2, 3),
        "K": Box("K = A ∗ k\nmean of each\nwindow", 2, 0),
        "⊛": Box("⊛\nXNOR and\npopcount", 2, 1.5, bits=True),
        "⊙": Box("⊙ Kα\nmultiply", 3, 1.5),
        "end": Box("≈ I ∗ W\nreal output", 4, 1.5),
    },
    arrows=[
        Arrow("I", "A"),
        Arrow("I", "sign I"),
        Arrow("W", "sign W"),
        Arrow("W", "α"),
        Arrow("A", "K", "real"),
        Arrow("sign I", "⊛", bits=True),
        Arrow("sign W", "⊛", bits=True),
        Arrow("⊛", "⊙", "sums"),
        Arrow("K", "⊙"),
        Arrow("α", "⊙"),
        Arrow("⊙", "end", "real"),
    ],
    titles={},
    caption=(
        "The flow of data in Eq. 11. Thin arrows carry numbers, thick dashed ones bits. W, its signs and α stay the "
        "same for all images; the path through A and K is off by default."
    ),
    alt=(
        "Boxes and arrows. The real input I goes to its signs, and to A, the mean of its magnitudes over the channels, "
        "which is averaged over windows to K. The real filters W go to their signs and to the scales alpha. Both signs "
        "go as bits to XNOR and popcount; the sums are multiplied by K and alpha, and give the real output, which "
        "approximates the convolution of I with W."
    ),
)

_DIAGRAMS = {"block-orders": _ORDERS, "xnor-convolution": _XNOR}


def diagram(name: str) -> None:
    """Put a diagram on the page: ``block-orders`` or ``xnor-convolution``; KeyError for any other name."""
    show(_DIAGRAMS[name])
