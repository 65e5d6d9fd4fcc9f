"""Export of a packed model as one C99 file without dependencies."""
