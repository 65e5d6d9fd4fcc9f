"""Models on data: opening models and data sets, scores, agreement of two models, and matching of classes."""
