"""``binnet bench layers``: time of the parts of a binary layer, share of the CPU's peak, and speed-up over float."""

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
    """Measure layers.

    Parameters
    ----------
    layers
        Pairs of network name and layer.
    batch
        Images per call, at least 1; ValueError otherwise.
    use_k
        Whether the binary layer multiplies by the scale map K.
    seconds
        Time for each measured call.
    peak
        Limits of this machine.
    tick
        Called with the layer's name after each layer.

    Returns
    -------
    list of rows
        One :func:`row` for each layer, with its network.
    """
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, got {batch}")
    rows = []
    for network, layer in layers:
        rows.append({"network": network, **row(layer, batch, use_k, seconds, peak)})
        tick(str(layer))
    return rows


def row(layer: Layer, batch: int, use_k: bool, seconds: float, peak: Peak) -> Row:
    """Measure one layer; the row has JSON values, times in seconds and rates in multiply-adds per second."""
    work = Workload(layer, batch, use_k)
    times = medians(work.calls, seconds)
    # The plain loops may have run on the first rows only; the factor scales their time to the whole layer.
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
    """Time of the whole layer and of its parts, in seconds."""
    # K is computed in the same pass as packing, so its share is a difference. Noise may make differences negative.
    k = max(times.get("pack and K", times["pack"]) - times["pack"], 0.0)
    scale = max(times["whole"] - times["pack"] - k - times["popcount"], 0.0)
    parts = {"pack_s": times["pack"], "k_s": k, "popcount_s": times["popcount"], "scale_s": scale}
    return {"whole_s": times["whole"], **parts}
