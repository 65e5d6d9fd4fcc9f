"""From ResNet-18's blocks to those of Bi-Real Net (arXiv:1808.00278), ReActNet (arXiv:2003.03488) and what followed.

Each row keeps the switches of the row before it and turns one more.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .comparison import Claim, Table, row

_LATER: dict[str, Any] = {"ste": "polynomial", "scale": "learned"}

_ROWS = (
    row("XNOR-Net, blocks of ResNet-18", "quick", "xnor"),
    row(
        "shortcut around each convolution",
        "quick2",
        "xnor",
        model_options="activation=none,threshold=zero,downsample=stride",
    ),
    row("+ mean in shortcuts that halve", "quick2", "xnor", model_options="activation=none,threshold=zero"),
    row("+ learned thresholds", "quick2", "xnor", model_options="activation=none"),
    row("+ PReLU", "quick2", "xnor", model_options="activation=prelu"),
    row("+ shifts around it, RPReLU", "quick2", "xnor"),
    row("+ polynomial gradient of the sign", "quick2", "xnor", ste="polynomial"),
    row("+ α learned", "quick2", "xnor", **_LATER),
    row("+ scales of rows and columns", "quick2", "xnor", **_LATER, model_options="scale_map=spatial"),
    row(
        "+ inputs of 2 bits in the first stage",
        "quick2",
        "xnor",
        **_LATER,
        model_options="scale_map=spatial,first_bits=2",
    ),
)
# What each row after the first is expected to show, in the order of the rows.
_EXPECTED = (
    "a shortcut around each convolution is better than one around two (Bi-Real Net)",
    "a mean before the convolution of a shortcut is at least as good as a stride (Bi-Real Net)",
    "learned thresholds are at least as good as 0 (ReActNet)",
    "PReLU is at least as good as no activation",
    "RPReLU is at least as good as PReLU (ReActNet)",
    "the polynomial gradient is at least as good as the clipped one (Bi-Real Net)",
    "a learned α is at least as good as Eq. 6 (XNOR-Net++)",
    "scales of rows and columns are at least as good as α alone (XNOR-Net++)",
    "2 bits in the first stage are at least as good as 1",
)

# The papers' accuracies are those of larger networks on ImageNet, so none stand beside the rows.
BLOCKS = Table(
    "blocks",
    "From ResNet-18's blocks to those of Bi-Real Net and ReActNet",
    (row("full precision", "quick2", "float"), *_ROWS),
    tuple(
        Claim(text, after.label, before.label) for text, (before, after) in zip(_EXPECTED, pairwise(_ROWS), strict=True)
    ),
    source="expected",
)
