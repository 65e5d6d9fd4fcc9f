"""Begin with the arrays of a trained model: which ones fit, and real weights from packed ones."""
