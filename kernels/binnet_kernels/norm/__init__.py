"""Batch normalisation over the last axis: :mod:`~binnet_kernels.norm.forward` and :mod:`~binnet_kernels.norm.grad`."""
