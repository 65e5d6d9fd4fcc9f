"""Folders and archives of images: which files they hold, and the split and class of each."""
