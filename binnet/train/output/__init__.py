"""Output of a training in its run folder: checkpoints, metrics, learning curves and log."""
