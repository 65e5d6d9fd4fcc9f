"""Several bits in the place of one: weights and inputs of k-bit levels (arXiv:1603.05279, end of section 3.2)."""
