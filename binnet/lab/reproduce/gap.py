"""What the recipe ``best`` leaves of the gap between XNOR-Net and full precision."""

from __future__ import annotations

from .comparison import Claim, Table, row

_FLOAT = row("full precision", "quick2", "float")
_BEFORE = row("XNOR-Net, blocks of ResNet-18, one stage", "quick", "xnor", stages=1)
_STAGES = row("XNOR-Net, three stages", "quick2", "xnor", stages=3)
_ROUNDED = row(
    "XNOR-Net, three stages, gradients of 2 bits", "quick2", "xnor", stages=3, binary_gradient="ternary", grad_bits=2
)

# All rows have the same number of epochs: those of all stages together. None of the accuracies is from a paper.
GAP = Table(
    "gap",
    "The recipe best, and full precision",
    (_FLOAT, _BEFORE, _STAGES, _ROUNDED),
    (
        Claim("XNOR-Net in three stages loses at most 2 points", _STAGES.label, _FLOAT.label, 2.0),
        Claim(
            "XNOR-Net in three stages with gradients of 2 bits loses at most 2 points",
            _ROUNDED.label,
            _FLOAT.label,
            2.0,
        ),
        Claim("three stages are better than ResNet-18's blocks in one", _STAGES.label, _BEFORE.label),
        Claim(
            "three stages with gradients of 2 bits are better than ResNet-18's blocks in one",
            _ROUNDED.label,
            _BEFORE.label,
        ),
        Claim("gradients of 2 bits cost nothing", _ROUNDED.label, _STAGES.label),
    ),
    source="expected",
    recipe="best",
)
