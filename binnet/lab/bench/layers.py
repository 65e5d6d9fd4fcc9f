"""``binnet bench layers``: where the time of a binary layer goes, and how far it is from the limit and from float."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple
from typing import Any

from .machine import Peak
from .shapes import Layer
from .timing import medians
from .workload import Workload

Row = dict[str, Any]
Tick = Callable[[str], None]


def measure(
    layers: Iterable[tuple[str, Layer]], batch: int, use_k: bool, seconds: float, peak: Peak, tick: Tick
) -> list[Row]:
    """One row for each layer; ``tick`` is called with the layer's name after each."""
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, got {batch}")
    rows = []
    for network, layer in layers:
        rows.append({"network": network, **row(layer, batch, use_k, seconds, peak)})
        tick(str(layer))
    return rows


def row(layer: Layer, batch: int, use_k: bool, seconds: float, peak: Peak) -> Row:
    """The figures of one layer, ready for JSON: times in seconds, rates in multiply-adds a second."""
    work = Workload(layer, batch, use_k)
    times = medians(work.calls, seconds)
    whole, plain, macs = times["whole"], times["plain"] * work.plain_factor, layer.macs * batch
    return {
        "layer": str(layer),
        "shape": list(astuple(layer)),
        "batch": batch,
        "macs": macs,
        **_split(times),
        "rate": macs / whole,
        "popcount_rate": macs / times["popcount"],
        "peak_share": macs / whole / peak.popcount,
        "float32_s": times["float32"],
        "float32_ratio": times["float32"] / whole,
        "plain_s": plain,
        "plain_rows": work.plain_rows,
        "plain_scaled": work.plain_factor != 1,
        "plain_ratio": plain / whole,
        "theory": layer.theory,
    }


def _split(times: dict[str, float]) -> Row:
    """Whole time and its parts; K is what packing takes longer with it, and the scales are what is left."""
    k = max(times.get("pack and K", times["pack"]) - times["pack"], 0.0)
    scale = max(times["whole"] - times["pack"] - k - times["popcount"], 0.0)
    parts = {"pack_s": times["pack"], "k_s": k, "popcount_s": times["popcount"], "scale_s": scale}
    return {"whole_s": times["whole"], **parts}
