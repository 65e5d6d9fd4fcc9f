"""Evaluation: opening of models and data sets, scores, comparison of two models, and matching of classes."""
