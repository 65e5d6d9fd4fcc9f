"""The compiled kernels: convolutions and the rules of training here, their passes in the folders below."""
