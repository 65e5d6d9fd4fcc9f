"""Training by several workers: who they are, how they divide a batch, and how they add up (ADR 0032)."""
