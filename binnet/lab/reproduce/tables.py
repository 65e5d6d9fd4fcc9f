"""Tables 1 to 3 of arXiv:1603.05279, and two on its section 3.2, as data: networks, accuracies and conclusions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

Scores = tuple[float, float]  # top-1 and top-5, per cent


@dataclass(frozen=True)
class Row:
    """One network of a table.

    Attributes
    ----------
    label : str
        Name in the table.
    options : mapping
        Options of :class:`binnet.train.config.TrainConfig` in which the rows differ, the model among them.
    paper : (top-1, top-5) in per cent, or None
        Accuracies of the paper on the whole of ImageNet; None where the paper has none.
    """

    label: str
    options: Mapping[str, Any] = field(hash=False)
    paper: Scores | None = None

    @property
    def name(self) -> str:
        """Name of the run folder; equal networks have equal names, so that tables share their runs."""
        o = self.options
        extras = (_IN_NAMES.get(name, "{}").format(value) for name, value in o.items() if name not in _NETWORK)
        return "-".join((o["model"], o["binarize"], *extras))


@dataclass(frozen=True)
class Claim:
    """A conclusion of the paper that is checked against measured top-1 accuracies.

    Attributes
    ----------
    text : str
        The conclusion as a sentence.
    better, worse : str
        Labels of the compared rows.
    margin : float
        Points of top-1 by which ``better`` may stay behind ``worse``.
    both : bool
        Whether ``better`` must also not be ahead by more than the margin.
    """

    text: str
    better: str
    worse: str
    margin: float = 0.0
    both: bool = False

    def holds(self, top1: Mapping[str, float]) -> bool | None:
        """Whether the conclusion holds for accuracies in per cent by row label; None when one of them is missing."""
        if self.better not in top1 or self.worse not in top1:
            return None
        ahead = top1[self.better] - top1[self.worse]
        return ahead >= -self.margin and (not self.both or ahead <= self.margin)

    def verdict(self, top1: Mapping[str, float], n: int) -> Verdict | None:
        """The verdict of accuracies that were measured on ``n`` images; None when one of them is missing."""
        holds = self.holds(top1)
        if holds is None:
            return None
        one, other = top1[self.better], top1[self.worse]
        limit = noise((one + other) / 200, n)  # the mean of both, from per cent to a share
        sure = "" if abs(one - other + self.margin) > limit else ", within the noise"
        return Verdict(f"{'holds' if holds else 'does not hold'}{sure}", one - other, limit)


class Verdict(NamedTuple):
    """Verdict in words, lead of the better row in points of top-1, and lead that chance alone can cause."""

    words: str
    ahead: float
    noise: float


def noise(p: float, n: int) -> float:
    """Two standard deviations, in points, of the difference of two accuracies near p in [0, 1] on ``n`` images each."""
    # The variance of one accuracy is p (1 − p) / n; independent variances add, hence the 2.
    return 200 * math.sqrt(2 * p * (1 - p) / n)


@dataclass(frozen=True)
class Table:
    """A table to reproduce.

    Attributes
    ----------
    name, title : str
        Name on the command line, and heading of the report.
    rows : tuple of Row
        The networks.
    claims : tuple of Claim
        Conclusions of the paper about them.
    costs : bool
        Whether the time of a training step is part of the comparison.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    costs: bool = False

    def with_model(self, model: str | None) -> Table:
        """The same comparisons with another network; ValueError when the rows are different networks."""
        if model is None:
            return self
        if len({row.options["model"] for row in self.rows}) > 1:
            raise ValueError(f"--model cannot be given for {self.name}, whose rows are different networks; see --rows")
        return replace(self, rows=tuple(replace(r, options={**r.options, "model": model}) for r in self.rows))

    def only(self, names: Sequence[str] | None) -> Table:
        """The table with only the rows of these names; ValueError that lists the names when one is unknown."""
        known = {row.name: row for row in self.rows}
        for name in names or ():
            if name not in known:
                raise ValueError(f"unknown row {name!r} of {self.name}; there are: {', '.join(known)}")
        return self if names is None else replace(self, rows=tuple(known[name] for name in known if name in names))

    @property
    def fixed(self) -> set[str]:
        """Names of the options that the rows set, and that the user cannot."""
        return {name for row in self.rows for name in row.options}


_NETWORK = ("model", "binarize")
# How options appear in the name of a run folder; others appear with their value alone.
_IN_NAMES = {"use_k": "k", "binary_gradient": "grad-{}", "weight_bits": "w{}", "act_bits": "a{}"}


def _row(label: str, model: str, binarize: str, paper: Scores | None = None, **options: Any) -> Row:
    return Row(label, {"model": model, "binarize": binarize, **options}, paper)


_BWN_LOSS = "BWN is within 2.9 points of full precision"
_XNOR_LOSS = "XNOR-Net is within 12.4 points of full precision"

# Accuracies are those printed in the paper; margins are its differences between rows.
_TABLES = (
    Table(
        "table1",
        "Table 1: AlexNet, binary weights and binary inputs beside earlier methods",
        (
            _row("full precision", "alexnet", "float", (56.6, 80.2)),
            _row("BWN", "alexnet", "bwn", (56.8, 79.4)),
            _row("BinaryConnect", "alexnet", "binaryconnect", (35.4, 61.0)),
            _row("XNOR-Net", "alexnet", "xnor", (44.2, 69.2)),
            _row("BNN", "alexnet", "bnn", (27.9, 50.4)),
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
            _row("ResNet-18, full precision", "resnet18", "float", (69.3, 89.2)),
            _row("ResNet-18, BWN", "resnet18", "bwn", (60.8, 83.0)),
            _row("ResNet-18, XNOR-Net", "resnet18", "xnor", (51.2, 73.2)),
            _row("GoogLeNet variant, full precision", "googlenet", "float", (71.3, 90.0)),
            _row("GoogLeNet variant, BWN", "googlenet", "bwn", (65.5, 86.1)),
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
            _row("BWN, α by Eq. 6", "alexnet", "bwn", (56.8, 79.4)),
            _row("BWN, α learned", "alexnet", "bwn", (46.2, 69.5), scale="learned"),
            _row("XNOR-Net, B-A-C-P, K off, exact gradient", "alexnet", "xnor", (44.2, 69.2)),
            _row("XNOR-Net, C-B-A-P", "alexnet", "xnor", (30.3, 57.5), order="cbap"),
            # The paper says in words what these rows change and prints no accuracy for them.
            _row("XNOR-Net, K on", "alexnet", "xnor", use_k=True),
            _row("XNOR-Net, gradient as printed", "alexnet", "xnor", weight_gradient="paper"),
            _row("XNOR-Net, plain gradient", "alexnet", "xnor", weight_gradient="plain"),
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
            _row("exact gradient", "quick", "xnor"),
            _row("ternary", "quick", "xnor", binary_gradient="ternary"),
            _row("ternary, 2 bits", "quick", "xnor", binary_gradient="ternary", grad_bits=2),
            _row("ternary, 4 bits", "quick", "xnor", binary_gradient="ternary", grad_bits=4),
            _row("levels of q_k, 4 bits", "quick", "xnor", binary_gradient="even", grad_bits=4),
            _row("sign · max|g|, as printed", "quick", "xnor", binary_gradient="paper"),
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
            _row("1 bit, 1 bit", "quick", "xnor"),
            _row("1 bit, 2 bits", "quick", "xnor", act_bits=2),
            _row("2 bits, 2 bits", "quick", "xnor", weight_bits=2, act_bits=2),
            _row("4 bits, 4 bits", "quick", "xnor", weight_bits=4, act_bits=4),
            _row("full precision", "quick", "float"),
        ),
        (Claim("more bits are better", "4 bits, 4 bits", "1 bit, 1 bit"),),
        costs=True,
    ),
)
_BY_NAME = {table.name: table for table in _TABLES}
NAMES = tuple(_BY_NAME)


def table(name: str) -> Table:
    """The table of a name; ValueError that lists the names when there is none."""
    if name not in _BY_NAME:
        raise ValueError(f"unknown table {name!r}; there are: {', '.join(NAMES)}")
    return _BY_NAME[name]
