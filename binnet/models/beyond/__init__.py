"""Networks that are not in the paper: small ones, and those that put shortcuts around each binary convolution."""
