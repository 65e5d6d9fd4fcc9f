"""What measures and shows: benchmarks, the paper's comparisons, one layer step by step.

Only the command line imports it.
"""
