"""Benchmarks: the measurements of ``binnet bench`` and their baselines (docs/adr/0012-measuring.md)."""
