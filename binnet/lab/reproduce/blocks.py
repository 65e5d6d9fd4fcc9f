"""From ResNet-18's blocks to those of Bi-Real Net (arXiv:1808.00278), ReActNet (arXiv:2003.03488) and what followed.

Each row of the path keeps the switches of the row before it and turns one more. The rows beside it turn one each, from
the last blocks of the path, which are trained in a single stage.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .comparison import Claim, Row, Table, row


def _blocks(label: str, **options: Any) -> Row:
    return row(label, "quick2", "xnor", **options)


_SINGLE = _blocks("+ polynomial gradient of the sign", ste="polynomial")
_PATH = (
    row("XNOR-Net, blocks of ResNet-18", "quick", "xnor"),
    _blocks(
        "shortcut around each convolution",
        model_options="activation=none,threshold=zero,downsample=stride",
    ),
    _blocks("+ mean in shortcuts that halve", model_options="activation=none,threshold=zero"),
    _blocks("+ learned thresholds", model_options="activation=none"),
    _blocks("+ PReLU", model_options="activation=prelu"),
    _blocks("+ shifts around it, RPReLU"),
    _SINGLE,
    _blocks("+ three stages", ste="polynomial", stages=3, teacher_share=0.0),
    _blocks("+ the first stage as teacher", ste="polynomial", stages=3),
)
# What each row of the path after the first is expected to show.
_ALONG = (
    "a shortcut around each convolution is better than one around two (Bi-Real Net)",
    "a mean before the convolution of a shortcut is at least as good as a stride (Bi-Real Net)",
    "learned thresholds are at least as good as 0 (ReActNet)",
    "PReLU is at least as good as no activation",
    "RPReLU is at least as good as PReLU (ReActNet)",
    "the polynomial gradient is at least as good as the clipped one (Bi-Real Net)",
    "three stages are better than a single one of the same length (Real-to-Binary)",
    "a real teacher is better than labels alone (Real-to-Binary, ReActNet)",
)
_BESIDE = {
    _blocks("α learned", ste="polynomial", scale="learned"): "a learned α is at least as good as Eq. 6 (XNOR-Net++)",
    _blocks(
        "scales of rows and columns", ste="polynomial", model_options="scale_map=spatial"
    ): "scales of channels, rows and columns are at least as good as α alone (XNOR-Net++)",
    _blocks(
        "inputs of 2 bits in the first stage", ste="polynomial", model_options="first_bits=2"
    ): "2 bits in the first stage are at least as good as 1",
    _blocks("moving averages of the weights", ste="polynomial", ema=0.99): "averages are at least as good as weights",
}

# The papers' accuracies are those of larger networks on ImageNet, so none stand beside the rows.
BLOCKS = Table(
    "blocks",
    "From ResNet-18's blocks to those of Bi-Real Net and ReActNet",
    (row("full precision", "quick2", "float"), *_PATH, *_BESIDE),
    (
        *(Claim(text, new.label, old.label) for text, (old, new) in zip(_ALONG, pairwise(_PATH), strict=True)),
        *(Claim(text, other.label, _SINGLE.label) for other, text in _BESIDE.items()),
    ),
    source="expected",
)
