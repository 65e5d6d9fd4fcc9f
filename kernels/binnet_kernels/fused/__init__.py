"""Fused layers of packed models: a convolution or a pooling, and all that follows it while sums are in registers."""
