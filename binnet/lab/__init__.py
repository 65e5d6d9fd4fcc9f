"""Experiments on top of the library: benchmarks, the paper's comparisons, and traces of a layer.

Only the command line imports it.
"""
