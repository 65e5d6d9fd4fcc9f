"""Tables of the benchmark report: columns, formats and notes for each measurement."""

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
        Heading of the table.
    columns : dict of functions
        Function from row to text, by the column's heading.
    notes : tuple of str
        Sentences below the table.
    """

    title: str
    columns: dict[str, Callable[[Row], str]]
    notes: tuple[str, ...] = ()

    def cells(self, rows: list[Row]) -> list[list[str]]:
        """The text of each cell, row by row."""
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
    # None: this system does not report the peak of a process's memory.
    return lambda row: "" if row[key] is None else f"{row[key] / 1e6:,.1f}"


def _plain(row: Row) -> str:
    # The tilde marks a time that was extrapolated from the first rows; a note explains it.
    return ("~" if row["plain_scaled"] else "") + f"{row['plain_ratio']:,.1f}"


# Notes of every table with speed-ups: a ratio means nothing without its baseline.
_FLOATS = (
    "× float32 compares with binnet's own float32 convolution, vectorised and on as many threads.",
    "× plain compares with textbook float32 loops, compiled but not vectorised, on one thread: the kind of baseline "
    "that the paper's 58 refers to. With ~, only the first rows of one image were run and the time was scaled up.",
    "S is the speed-up that the paper predicts (section 4.1), 64·c·N_W / (c·N_W + 64): one operation on 64 signs "
    "against one float multiply-add. It ignores vector instructions, which binnet's binary layer uses and plain loops "
    "do not.",
)

# Columns that figures 4b and 4c have in common.
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
        (
            "Loops that use registers only, on the same threads: XOR, popcount and addition of signs; float32 "
            "multiply-add.",
        ),
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
            "A layer is written channels@image * filters@window. The time is that of the whole layer, from float32 "
            "images to float32 output; GMAC/s and the share of the popcount limit follow from it.",
            "pack: packing the signs of the images into words, timed alone. K: the additional time of packing when it "
            "also computes the map K. popcount: XOR and popcount on packed words, timed alone, in the same order of "
            "windows. scale: the rest of the whole time, at least 0: border, scales, storing the output, and calls.",
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
            "1 bit counts one bit for every parameter, as the paper's figure does. In practice the first and last "
            "layer, biases and normalisations stay float32, which is the next column.",
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
            "256 filters on a 14×14 map, padded by half the filter, one image, the whole layer without K. The "
            "baselines are those of the table by channels.",
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
        ("One-bit weights take 1/32 of their float32 size; the rest of the file is its description and HDF5.",),
    ),
    "network": Table(
        "Whole network",
        {"batch": _word("batch"), "ms": _milli("whole_s"), "images/s": _number("images_per_s")},
        ("Time from random images, normalised unless the model reads pixels, to the logits of the classes.",),
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
            "Each fused step is timed separately while the model runs; times are summed over the steps of a kind. "
            "Normalisation, ReLU and residual sums are part of the previous layer; the kind says whether a step writes "
            "floats, bits or both.",
        ),
    ),
    "step": Table(
        "The step",
        {
            "images": lambda row: f"{row['batch']} of {row['rows']}×{row['columns']}×{row['channels']}",
            "classes": _word("classes"),
        },
        ("Forward, backward and Adam update on random images that are in memory already.",),
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
            "gradient (of exact); below 1 is faster. The rows from ternary to the gradient as printed are XNOR-Net "
            "with the binary gradients of section 3.2; the rows after them have weights and inputs of k bits.",
            "The networks take turns, and each turn builds its network anew. A time is the median over the turns of "
            "the median within each turn.",
            "Peak: the peak memory of a new process less its memory after its imports and a small step of the same "
            "kind, 1 MB = 1,000,000 bytes. Weights and moments are part of it.",
        ),
    ),
    "cold": Table(
        "New processes",
        {"what": _word("what"), "s": _number("median_s", 3)},
        (
            "Import and first call are timed inside the process, the others from its start to its end; files are in "
            "the operating system's cache. The binary layer is 256@14x14 * 256@3x3 p1.",
        ),
    ),
}
