"""How the rows of each measurement become a table: its columns, and what the figures are measured against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .layers import Row


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes
    ----------
    title : str
    columns : dict of functions
        By head: what to write for a row.
    notes : tuple of str
        Sentences to stand below.
    """

    title: str
    columns: dict[str, Callable[[Row], str]]
    notes: tuple[str, ...] = ()

    def cells(self, rows: list[Row]) -> list[list[str]]:
        """What to write for each row, column by column."""
        return [[cell(row) for cell in self.columns.values()] for row in rows]


def _micro(key: str) -> Callable[[Row], str]:
    return lambda row: f"{row[key] * 1e6:,.1f}"


def _milli(key: str) -> Callable[[Row], str]:
    return lambda row: f"{row[key] * 1e3:,.3f}"


def _giga(key: str) -> Callable[[Row], str]:
    return lambda row: f"{row[key] / 1e9:,.1f}"


def _number(key: str, digits: int = 1) -> Callable[[Row], str]:
    return lambda row: f"{row[key]:,.{digits}f}"


def _word(key: str) -> Callable[[Row], str]:
    return lambda row: f"{row[key]:,}" if isinstance(row[key], int) else str(row[key])


def _mega(key: str) -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else f"{row[key] / 1e6:,.1f}"


def _plain(row: Row) -> str:
    return ("~" if row["plain_scaled"] else "") + f"{row['plain_ratio']:,.1f}"


_FLOATS = (
    "× float32 compares with binnet's own float32 convolution, vectorised and on as many threads.",
    "× plain compares with textbook float32 loops, compiled but not vectorised, on one thread: the kind of baseline "
    "that the paper's 58 refers to. With ~, only the first rows of one image were run and the time was scaled up.",
    "S is the paper's expectation (section 4.1), 64·c·N_W / (c·N_W + 64): 64 signs in one operation against one "
    "float multiply-add in one. It knows no vectors; binnet's binary layer has them, and plain loops do not.",
)

_SPEED: dict[str, Callable[[Row], str]] = {
    "binary µs": _micro("whole_s"),
    "float32 µs": _micro("float32_s"),
    "plain µs": _micro("plain_s"),
    "× float32": _number("float32_ratio"),
    "× plain": _plain,
    "S": _number("theory"),
}

TABLES: dict[str, Table] = {
    "peak": Table(
        "Limits of this CPU",
        {"popcount GMAC/s": _giga("popcount"), "float32 GMAC/s": _giga("fma")},
        ("Loops in registers alone, on the same threads: xor, popcount and add of signs; float32 multiply-add.",),
    ),
    "layers": Table(
        "Binary layers",
        {
            "layer": _word("layer"),
            "network": _word("network"),
            "batch": _word("batch"),
            "µs": _micro("whole_s"),
            "pack": _micro("pack_s"),
            "K": _micro("k_s"),
            "popcount": _micro("popcount_s"),
            "scale": _micro("scale_s"),
            "GMAC/s": _giga("rate"),
            "% of peak": lambda row: f"{100 * row['peak_share']:.0f}",
            "× float32": _number("float32_ratio"),
            "× plain": _plain,
            "S": _number("theory"),
        },
        (
            "A layer is written channels@image * filters@window. The time is that of the whole layer, float32 images "
            "in and float32 map out; GMAC/s and the share of the popcount limit follow from it.",
            "pack: signs of the images into words, on its own. K: what packing takes longer when it also makes the map "
            "K. popcount: XOR and counting on packed words, on its own, by the same walk. scale: the whole time less "
            "these, at least 0: border, scales, storing the map, and the calls themselves.",
            *_FLOATS,
        ),
    ),
    "memory": Table(
        "Figure 4a: memory of all parameters, MiB",
        {
            "network": _word("network"),
            "parameters": _word("parameters"),
            "double": _number("double"),
            "float32": _number("float32"),
            "1 bit": _number("one_bit"),
            "inner layers 1 bit": _number("inner_one_bit"),
            "paper: double": lambda row: f"{row['paper_double']:,.0f}",
            "paper: 1 bit": _number("paper_one_bit"),
        },
        (
            "Computed from the shapes of the layers, not measured. The paper compares with double precision; against "
            "float32 the factor is 32.",
            "1 bit takes every parameter as one bit, as the paper's figure does. In practice the first and last layer, "
            "biases and norms stay float32: the column after it.",
        ),
    ),
    "channels": Table(
        "Figure 4b: speed-up by channels, 3×3 filters",
        {"channels": _word("channels"), **_SPEED},
        ("256 filters on a 14×14 map, one image, the whole layer without K.", *_FLOATS),
    ),
    "filters": Table(
        "Figure 4c: speed-up by filter size, 256 channels",
        {"filter": lambda row: f"{row['kernel_size']}×{row['kernel_size']}", **_SPEED},
        (
            "256 filters on a 14×14 map with a border of half the filter, one image, the whole layer without K. The "
            "ratios are against the same as by channels.",
        ),
    ),
    "sizes": Table(
        "Size of the file, bytes",
        {
            "one-bit weights": _word("signs"),
            "scales α": _word("alpha"),
            "other arrays": _word("real"),
            "file": _word("file"),
            "all as float32": _word("float32"),
            "× smaller": lambda row: f"{row['float32'] / row['file']:.1f}",
        },
        ("One-bit weights are a thirty-second of their float32 size; what else the file holds is index and HDF5.",),
    ),
    "network": Table(
        "Whole network",
        {"batch": _word("batch"), "ms": _milli("whole_s"), "images/s": _number("images_per_s")},
        ("Random images; from normalised images to the scores of the classes.",),
    ),
    "kinds": Table(
        "Where the time goes",
        {
            "step": _word("kind"),
            "batch": _word("batch"),
            "how many": _word("steps"),
            "ms": _milli("seconds"),
            "share": lambda row: f"{row['share']:.1%}",
            "GMAC/s": _number("gmacs"),
        },
        (
            "Each fused step timed on its own while the model runs, summed over the steps of a kind. Normalisation, "
            "ReLU and residual sums are part of the layer before; the kind says what is written: floats, bits or both.",
        ),
    ),
    "step": Table(
        "The step",
        {
            "images": lambda row: f"{row['batch']} of {row['rows']}×{row['columns']}×{row['channels']}",
            "classes": _word("classes"),
        },
        ("Forward, backward and Adam on random images that are there already.",),
    ),
    "training": Table(
        "What a step costs",
        {
            "variant": _word("variant"),
            "ms": lambda row: f"{row['step_s'] * 1e3:,.1f}",
            "of float": _number("float_ratio", 2),
            "of exact": _number("exact_ratio", 2),
            "images/s": _number("images_per_s", 0),
            "peak MB": _mega("peak"),
            "weights, moments MB": _mega("state"),
        },
        (
            "The time is also given as a multiple of that of full precision (of float) and of XNOR-Net with the exact "
            "gradient (of exact); below 1 is faster. From ternary to the gradient as printed, XNOR-Net with the "
            "binary gradients of section 3.2; after that, XNOR-Net with weights and inputs of k bits.",
            "Networks take turns, built anew for each; the medians of a network's turns have their median here.",
            "Peak: the most memory of a process of its own less what it had after its imports and a small step of the "
            "same kind, 1 MB = 1,000,000 bytes. Weights and moments are part of it.",
        ),
    ),
    "cold": Table(
        "New processes",
        {"what": _word("what"), "s": _number("median_s", 3)},
        (
            "The import and the first call by the process's own clock, the others from the command to its end; files "
            "are in the operating system's cache. The binary layer is 256@14x14 * 256@3x3 p1.",
        ),
    ),
}
