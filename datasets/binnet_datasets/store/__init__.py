"""Image stores: all images of a folder in one HDF5 file, decoded once and read by index."""
