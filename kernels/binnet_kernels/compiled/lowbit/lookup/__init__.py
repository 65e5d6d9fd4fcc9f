"""Backward convolutions of gradients of few levels by table look-up, where the CPU has no instruction for popcounts.

Four values g of a gradient meet four signs in one of 16 combinations. A *table* holds the sum of the four products for
each of them: ``pshufb`` takes the four signs of 32 lanes and looks up their sums in one instruction, however many bits
the values have. Popcounts need a pass for each bit plane.
"""
