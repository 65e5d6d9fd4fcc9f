"""What compiled kernels are made of: vectors, the register tile, decorators, the compile cache and threads."""
