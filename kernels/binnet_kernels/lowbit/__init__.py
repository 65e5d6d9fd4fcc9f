"""Several bits and rounded gradients, beyond the one bit of the paper's networks.

The paper describes both at the end of section 3.2 (arXiv:1603.05279).
"""
