"""Compiled gradients of convolutions."""
