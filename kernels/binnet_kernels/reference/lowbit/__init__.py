"""The NumPy forms of several bits and of rounded gradients."""
