"""Several bits in the place of one, in plain NumPy."""
