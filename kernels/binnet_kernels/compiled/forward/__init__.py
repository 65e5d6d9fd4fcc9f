"""Compiled passes forward: signs and scales, binary and real convolutions, pooling, normalisation."""
