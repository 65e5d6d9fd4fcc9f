"""Batches of images, augmented and prepared in background threads."""
