"""What a training writes into its run folder: checkpoints, metrics, curves and the log."""
