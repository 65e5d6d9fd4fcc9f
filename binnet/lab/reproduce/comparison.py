"""A comparison of networks: its rows, the conclusions about them, and what accuracies say of a conclusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .chance import Accuracy, limit

Scores = tuple[float, float]  # top-1 and top-5, per cent


_NETWORK = ("model", "binarize")
# How options appear in the name of a run folder; others appear with their value alone.
_IN_NAMES = {
    "use_k": "k",
    "binary_gradient": "grad-{}",
    "weight_bits": "w{}",
    "act_bits": "a{}",
    "stages": "{}-stages",
    "teacher_share": "teacher-{:g}",
    "ema": "ema",
}
_HYPHENS = str.maketrans("=,", "--")


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
        # Model options are written activation=none,threshold=zero, and commas separate the names in --rows.
        return "-".join((o["model"], o["binarize"], *(extra.translate(_HYPHENS) for extra in extras)))


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
    """

    text: str
    better: str
    worse: str
    margin: float = 0.0

    def verdict(self, top1: Mapping[str, Accuracy]) -> Verdict | None:
        """What top-1 accuracies by row label say of the conclusion; None when one of the two rows is missing."""
        if self.better not in top1 or self.worse not in top1:
            return None
        one, other = top1[self.better], top1[self.worse]
        ahead, noise = one.mean - other.mean, limit(one, other)
        if abs(ahead + self.margin) <= noise:
            return Verdict("cannot tell", ahead, noise)
        return Verdict("agrees" if ahead > -self.margin else "disagrees", ahead, noise)


class Verdict(NamedTuple):
    """Verdict in words, lead of the better row in points of top-1, and lead that chance alone can cause.

    The words are ``"agrees"`` or ``"disagrees"``, and ``"cannot tell"`` where chance alone can carry the lead to the
    other side of the claim's margin.
    """

    words: str
    ahead: float
    noise: float


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
        Conclusions about them.
    costs : bool
        Whether the time of a training step is part of the comparison.
    source : str
        Heading of the conclusions.
    recipe : str or None
        Recipe of all rows unless another one is given; None for the one that suits the images.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    costs: bool = False
    source: str = "the paper"
    recipe: str | None = None

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


def row(label: str, model: str, binarize: str, paper: Scores | None = None, **options: Any) -> Row:
    """A row; ``options`` are those beside the network and its mode."""
    return Row(label, {"model": model, "binarize": binarize, **options}, paper)
