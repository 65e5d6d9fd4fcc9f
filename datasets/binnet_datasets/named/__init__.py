"""Data sets that have a name: their files, where they are published, and how they are read."""
