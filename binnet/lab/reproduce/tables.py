"""The tables by name: 1 to 3 of arXiv:1603.05279, two on its section 3.2, and two on what later papers add."""

from __future__ import annotations

from .blocks import BLOCKS
from .comparison import Claim, Table, row
from .gap import GAP

_BWN_LOSS = "BWN is within 2.9 points of full precision"
_XNOR_LOSS = "XNOR-Net is within 12.4 points of full precision"

# Accuracies are those printed in the paper; margins are its differences between rows.
_TABLES = (
    Table(
        "table1",
        "Table 1: AlexNet, binary weights and binary inputs beside earlier methods",
        (
            row("full precision", "alexnet", "float", (56.6, 80.2)),
            row("BWN", "alexnet", "bwn", (56.8, 79.4)),
            row("BinaryConnect", "alexnet", "binaryconnect", (35.4, 61.0)),
            row("XNOR-Net", "alexnet", "xnor", (44.2, 69.2)),
            row("BNN", "alexnet", "bnn", (27.9, 50.4)),
        ),
        (
            Claim(_BWN_LOSS, "BWN", "full precision", 2.9),
            Claim(_XNOR_LOSS, "XNOR-Net", "full precision", 12.4),
            Claim("BWN is better than BinaryConnect", "BWN", "BinaryConnect"),
            Claim("XNOR-Net is better than BNN", "XNOR-Net", "BNN"),
        ),
    ),
    Table(
        "table2",
        "Table 2: ResNet-18 and the GoogLeNet variant",
        (
            row("ResNet-18, full precision", "resnet18", "float", (69.3, 89.2)),
            row("ResNet-18, BWN", "resnet18", "bwn", (60.8, 83.0)),
            row("ResNet-18, XNOR-Net", "resnet18", "xnor", (51.2, 73.2)),
            row("GoogLeNet variant, full precision", "googlenet", "float", (71.3, 90.0)),
            row("GoogLeNet variant, BWN", "googlenet", "bwn", (65.5, 86.1)),
        ),
        (
            Claim(
                "ResNet-18: BWN loses at most the paper's 8.5 points",
                "ResNet-18, BWN",
                "ResNet-18, full precision",
                8.5,
            ),
            Claim(
                "ResNet-18: XNOR-Net loses at most the paper's 18.1 points",
                "ResNet-18, XNOR-Net",
                "ResNet-18, full precision",
                18.1,
            ),
            Claim("ResNet-18: BWN is better than XNOR-Net", "ResNet-18, BWN", "ResNet-18, XNOR-Net"),
            Claim(
                "GoogLeNet variant: BWN loses at most the paper's 5.8 points",
                "GoogLeNet variant, BWN",
                "GoogLeNet variant, full precision",
                5.8,
            ),
        ),
    ),
    Table(
        "table3",
        "Table 3 and its neighbours in the text: scales, order of a block, K, gradient of the weights",
        (
            row("BWN, α by Eq. 6", "alexnet", "bwn", (56.8, 79.4)),
            row("BWN, α learned", "alexnet", "bwn", (46.2, 69.5), scale="learned"),
            row("XNOR-Net, B-A-C-P, K off, exact gradient", "alexnet", "xnor", (44.2, 69.2)),
            row("XNOR-Net, C-B-A-P", "alexnet", "xnor", (30.3, 57.5), order="cbap"),
            # The paper says in words what these rows change and prints no accuracy for them.
            row("XNOR-Net, K on", "alexnet", "xnor", use_k=True),
            row("XNOR-Net, gradient as printed", "alexnet", "xnor", weight_gradient="paper"),
            row("XNOR-Net, plain gradient", "alexnet", "xnor", weight_gradient="plain"),
        ),
        (
            Claim("α by Eq. 6 is at least as good as a learned one", "BWN, α by Eq. 6", "BWN, α learned"),
            Claim("B-A-C-P is better than C-B-A-P", "XNOR-Net, B-A-C-P, K off, exact gradient", "XNOR-Net, C-B-A-P"),
            Claim(
                "leaving K out costs less than 1 point",
                "XNOR-Net, B-A-C-P, K off, exact gradient",
                "XNOR-Net, K on",
                1.0,
            ),
        ),
    ),
    Table(
        "gradients",
        "Gradients of few bits (section 3.2)",
        (
            row("exact gradient", "quick", "xnor"),
            row("ternary", "quick", "xnor", binary_gradient="ternary"),
            row("ternary, 2 bits", "quick", "xnor", binary_gradient="ternary", grad_bits=2),
            row("ternary, 4 bits", "quick", "xnor", binary_gradient="ternary", grad_bits=4),
            row("levels of q_k, 4 bits", "quick", "xnor", binary_gradient="even", grad_bits=4),
            row("sign · max|g|, as printed", "quick", "xnor", binary_gradient="paper"),
        ),
        (
            Claim("a gradient of one bit costs at most 1.4 points", "ternary", "exact gradient", 1.4),
            Claim("so does one of two bits", "ternary, 2 bits", "exact gradient", 1.4),
            Claim("so does the one as printed", "sign · max|g|, as printed", "exact gradient", 1.4),
        ),
        costs=True,
    ),
    Table(
        "bits",
        "Weights and inputs of k bits (section 3.2)",
        (
            row("1 bit, 1 bit", "quick", "xnor"),
            row("1 bit, 2 bits", "quick", "xnor", act_bits=2),
            row("2 bits, 2 bits", "quick", "xnor", weight_bits=2, act_bits=2),
            row("4 bits, 4 bits", "quick", "xnor", weight_bits=4, act_bits=4),
            row("full precision", "quick", "float"),
        ),
        (Claim("more bits are better", "4 bits, 4 bits", "1 bit, 1 bit"),),
        costs=True,
    ),
    BLOCKS,
    GAP,
)
_BY_NAME = {table.name: table for table in _TABLES}
NAMES = tuple(_BY_NAME)


def table(name: str) -> Table:
    """The table of a name; ValueError that lists the names when there is none."""
    if name not in _BY_NAME:
        raise ValueError(f"unknown table {name!r}; there are: {', '.join(NAMES)}")
    return _BY_NAME[name]
