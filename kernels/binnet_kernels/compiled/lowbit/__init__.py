"""Compiled kernels for several bits: levels of weights and inputs, and gradients of few levels."""
