"""The table of ``binnet train --profile``: time of a training step by phase, beside the limits of this machine."""

from __future__ import annotations

from binnet_kernels.backend import COMMUNICATION

from ...profiler import MULTIPLYING, Profile, Spent
from .machine import Peak

HEADS = ("phase, work", "ms a step", "share", "speed", "limit", "reached")
Row = tuple[str, ...]


def table(profile: Profile, peak: Peak, bandwidth: float) -> tuple[list[Row], Row]:
    """Rows of the table with the columns ``HEADS``, and its total.

    Parameters
    ----------
    profile
        Measured times of phases and kinds of kernels.
    peak
        Peak rates of this machine, in multiply-adds per second.
    bandwidth
        Memory bandwidth in bytes per second. Arrays that fit into the caches can exceed it.
    """
    rows: list[Row] = []
    for phase, kind, spent in profile.rows():
        if kind == COMMUNICATION:
            sent = f"{spent.work / profile.steps / 1e6:,.3f} MB sent"
            rows.append((f"{phase}, {kind}", *_time(profile, spent), sent, "", ""))
            continue
        # Multiplying kernels are limited by arithmetic, the others by memory.
        limit = (peak.popcount if kind == MULTIPLYING[0] else peak.fma) if kind in MULTIPLYING else bandwidth
        unit = "GMAC/s" if kind in MULTIPLYING else "GB/s"
        rows.append((f"{phase}, {kind}", *_time(profile, spent), *_speed(spent, limit, unit)))
    waiting = profile.total - sum(profile.phases.values())
    rows.append(("waiting for data, and between steps", *_time(profile, Spent(waiting)), "", "", ""))
    return rows, ("a step", *_time(profile, Spent(profile.total)), "", "", "")


def lines(rows: list[Row], total: Row) -> list[str]:
    """The table as lines of plain text, for ``profile.txt``."""
    widths = [max(len(row[i]) for row in (HEADS, *rows, total)) for i in range(len(HEADS))]
    return [
        "  ".join(
            f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (HEADS, *rows, total)
    ]


def _time(profile: Profile, spent: Spent) -> tuple[str, str]:
    return f"{spent.seconds / profile.steps * 1e3:.2f}", f"{spent.seconds / profile.total:.1%}"


def _speed(spent: Spent, limit: float, unit: str) -> tuple[str, str, str]:
    if not spent.work or not spent.seconds:  # Python code between the kernels has a time but no amount of work
        return "", "", ""
    speed = spent.work / spent.seconds
    return f"{speed / 1e9:,.1f} {unit}", f"{limit / 1e9:,.0f}", f"{speed / limit:.0%}"
