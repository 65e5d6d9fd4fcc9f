"""The compiled forms of the fused layers."""
